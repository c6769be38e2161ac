#!/bin/bash
# with_table.sh TEMPLATE TABLE: prints the completion for a shell, with the table in it.
set -eu
# In fish the table stands in quotes, in bash and zsh in a here-document.
quote=''
case $1 in *.fish) quote="s/[\\\\']/\\\\&/g" ;; esac
while IFS= read -r line; do
  case $line in
    *@TABLE@*) printf '%s%s%s\n' "${line%@TABLE@*}" "$(grep -E '^(act|option)' "$2" | sed "$quote")" "${line#*@TABLE@}" ;;
    *) printf '%s\n' "$line" ;;
  esac
done <"$1"
