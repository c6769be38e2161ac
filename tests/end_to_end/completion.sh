#!/bin/bash
# What can follow `vestal` is completed by bash, zsh and fish, from the program's own tables of options.
. "$SOURCE/tests/end_to_end/cli.sh"
share=$BUILD/share
[ -f "$share/bash-completion/completions/vestal" ] || { echo "there are no completions in $share"; exit 1; }

mkdir dir
touch dir/file main.c model.ves
printf 'all: out\nout:\n\t:\nVARIABLE := no\n' >Makefile

# completed WORD...: what bash offers for the last one, in one line; = stands alone, as in bash
completed() {
  bash --norc -c '. "$1"; shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _vestal
    printf "%s\n" "${COMPREPLY[@]}" | sort -u | paste -sd " "' bash "$share/bash-completion/completions/vestal" vestal "$@"
}
offers() { # EXPECTED WORD...
  local expected=$1; shift
  is "bash: vestal $*" "$expected" "$(completed "$@")"
}
commands=$("$VESTAL" help --table | awk -F '\t' '$1 == "act" && $2 == "vestal" {print $3}' | paste -sd ' ')
like 'the table has commands' 'build * make * run * why' "$commands"
offers "$commands" ''
offers 'stats' sta
offers "$commands" help ''
offers '--summary' --su
offers '--clock=' --cl
offers 'real' --clock = r
offers 'allow deny' --network =
offers 'run' --summary ru
offers '--json' stats --j
offers '--dry-run' gc --d
offers '' gc --size ''
offers 'add cat checkout diff ls show' tree ''
offers 'dir' tree add ''
offers 'dir' tree checkout DIGEST d
offers '' tree cat DIGEST m
offers 'main.c model.ves' why m
offers 'model.ves' build --result mo
offers 'dir' build --shipto d
offers 'model' build --cache mo
offers 'all' build --cache = al
offers 'fmt repl' sdl ''
offers '--check' sdl fmt --ch
offers 'main.c model.ves' sdl fmt model.ves m
offers 'add' component a
offers 'dir' component add -o d
offers '--tree' run --tre
offers 'dir' run --out d
offers 'main.c model.ves' run -- cat m
offers 'main.c model.ves' run --summary --env A=b cat m
offers 'main.c model.ves' import -o dir -- cat m
offers 'all' make a
offers 'out' --summary make -j8 ou
offers '--precise' make --pr
like 'a command is completed as one' '*printf*' " $(completed run -- print) "
like 'in front of it there are own options' '*--summary*' "$(completed run --s)"
# With the package bash-completion make's own completion answers.
is 'words of another command are given to who knows them' 'offset 1' \
  "$(bash --norc -c '. "$1"; _command_offset() { COMPREPLY=("offset $1"); }; COMP_WORDS=(vestal make al) COMP_CWORD=2; _vestal; echo "${COMPREPLY[0]}"' bash "$share/bash-completion/completions/vestal")"

# Each option of each command is offered.
while IFS=$'\t' read -r kind of names _; do
  [ "$kind" = option ] && [ "$of" != make ] || continue
  for name in ${names//,/ }; do
    found=$(completed ${of#vestal} "$name")
    case $found in "$name" | "$name=" | "$name "*) ;; *) is "$of $name" "$name" "$found" ;; esac
  done
done < <("$VESTAL" help --table)

if command -v zsh >/dev/null; then
  is 'zsh reads its completion' '' "$(zsh -n "$share/zsh/site-functions/_vestal" 2>&1)"
  # compadd and its relations say what they were given.
  in_zsh() {
    zsh -f -c 'file=$1; shift
      _describe() { [[ $1 = -o ]] && shift; print -rl -- ${${(P)2}%%:*}; [[ $3 = -- ]] && print -rl -- ${${(P)4}%%:*}; }
      _files() { print -r -- files $*; }
      _message() { print -r -- $1; }
      _normal() { print -r -- other $words at $CURRENT; }
      compadd() { print -rl -- ${(P)2}; }
      compset() { :; }
      words=("$@") CURRENT=$#
      source $file' zsh "$share/zsh/site-functions/_vestal" vestal "$@" 2>&1 | sort | paste -sd ' '
  }
  is 'zsh: commands' "$commands" "$(in_zsh '')"
  like 'zsh: options' '*--clock*--summary*--version*' "$(in_zsh --)"
  is 'zsh: acts' 'add cat checkout diff ls show' "$(in_zsh tree '')"
  is 'zsh: directories' 'files -/' "$(in_zsh tree add '')"
  is 'zsh: files' files "$(in_zsh why '')"
  is 'zsh: values' 'all model none runtool' "$(in_zsh build --cache '')"
  is 'zsh: values behind =' real "$(in_zsh --clock=)"
  is 'zsh: a command' 'other cat m at 2' "$(in_zsh run -- cat m)"
  is 'zsh: the command itself' 'other ca at 1' "$(in_zsh run ca)"
  is 'zsh: make' 'other make a at 2' "$(in_zsh make a)"
fi
if command -v fish >/dev/null; then
  is 'fish reads its completion' '' "$(fish -n "$share/fish/vendor_completions.d/vestal.fish" 2>&1)"
  # One start for all: `fish` takes some time.
  printf '%s\n' 'vestal ' 'vestal --su' 'vestal --clock=r' 'vestal tree ' 'vestal tree add d' 'vestal build --cache mo' 'vestal stats --j' 'vestal run -- cat ma' \
    'vestal make ma' 'vestal sdl fmt --ch' 'vestal build --shipto d' 'vestal component ad' >lines
  fish -N -c 'source $argv[1]; while read -l line; echo (complete --do-complete $line | string replace -r "\t.*" ""); end <lines' "$share/fish/vendor_completions.d/vestal.fish" >found 2>&1
  { echo "$commands"; printf '%s\n' --summary --clock=real 'add cat checkout diff ls show' dir/ model --json "main.c Makefile" "main.c Makefile" --check dir/ add; } >expected
  is 'fish' "$(cat expected)" "$(cat found)"
fi
finish
