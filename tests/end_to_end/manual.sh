#!/bin/bash
# There is a manual page for vestal and one for each command. Every option is in it, and formatters find no fault.
. "$SOURCE/tests/end_to_end/cli.sh"
pages=$BUILD/share/man/man1
"$VESTAL" help --table >table
commands=$(awk -F '\t' '$1 == "act" && $2 == "vestal" {print $3}' table)
is 'there is a page for each command, and no other' "$({ echo vestal.1; printf 'vestal-%s.1\n' $commands; } | sort)" "$(ls "$pages")"
# What stands on a page without the fonts.
text() { sed 's/\\f[A-Z]//g; s/\\-/-/g; s/\\&//g; s/\\e/\\/g' "$pages/$1.1"; }
while IFS=$'\t' read -r kind of names type rest; do
  page=vestal-${of%% *}
  [ "$of" = vestal ] && page=vestal
  purpose=${rest#*$'\t'}
  case $kind in
    option)
      grep -qE -- "^${names//,/, }([ =]|\$)" <(text "$page") || is "$page: $names" 'is on the page' ''
      grep -qF -- "$(sed 's/`//g' <<<"$purpose")" <(text "$page") || is "$page: $names: $purpose" 'is on the page' '' ;;
    act) [ "$of" = vestal ] || grep -qE -- "^$names( |\$)" <(text "$page") || is "$page: $names" 'is on the page' '' ;;
  esac
done <table
for page in "$pages"/*.1; do
  name=${page##*/} name=${name%.1}
  # What is written by hand has no options that are not there.
  while read -r option; do
    grep -qE "(^|[	,])$option([	,]|\$)" table || is "$name: $option" 'an option' 'none'
  done < <(sed -n '/^vestal/p' "$SOURCE/docs/man/$name.roff" 2>/dev/null | sed 's/\\-/-/g; s/ -- .*//' | grep -oE -- '(^| )--[a-z-]+' | sort -u | tr -d ' ')
  if command -v mandoc >/dev/null; then is "mandoc about $name" '' "$(mandoc -T lint -W warning "$page" 2>&1)"; fi
  if command -v groff >/dev/null; then is "groff about $name" '' "$(groff -man -Tascii -ww "$page" 2>&1 >/dev/null)"; fi
done
for written in "$SOURCE"/docs/man/*.roff; do
  name=${written##*/}
  [ -f "$pages/${name%.roff}.1" ] || is "$written" 'a page' ''
done
finish
