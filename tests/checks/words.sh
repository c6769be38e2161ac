#!/bin/bash
# The tree names no place of the machine it was written on, and no work left open without a word in docs/limits.md.
set -u
cd "${SOURCE:-$(dirname "$0")/../..}" || exit 1
faults=0
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  mapfile -d '' files < <(git ls-files -z --cached --others --exclude-standard)
else
  mapfile -d '' files < <(find . -path ./build -prune -o -type f -print0)
fi
[ ${#files[@]} -gt 0 ] || { echo "no files found"; exit 1; }

search() { # RULE GREP-OPTION PATTERN
  local hits
  hits=$(printf '%s\0' "${files[@]}" | xargs -0 grep -nI "$2" -e "$3" -- 2>/dev/null | cut -c1-160)
  [ -z "$hits" ] && return
  printf '%s\n%s\n' "$1:" "$hits"
  faults=1
}
search 'a path of this checkout' -F "$PWD/"
search 'a path of a machine' -E '(^|[^A-Za-z0-9_.])/(work|workspace|Users|mnt/[a-z]+)/'
search 'a scratch path of a person' -E '/tmp/tmp\.[A-Za-z0-9]{6,}'
search 'work left open' -E '\b(TO''DO|FIX''ME|XX''X)\b'
exit $faults
