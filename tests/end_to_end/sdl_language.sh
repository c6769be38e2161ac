#!/bin/bash
# The language, example by example: every model under tests/language gives what its comments say.
#
# A test is NAME.ves or a directory NAME with main.ves. Comment lines in it:
#   // prints: LINE                    printed while it is evaluated, in this order
#   // expect: VALUE                   the result, the last line printed
#   // error: LINE[:COLUMN]: TEXT      status 1, no result, and a first error there whose message contains TEXT
. "${0%/*}/cli.sh"

count=0
check_model() { # NAME FILE: with no process but vestal itself, for there are many
  local name=$1 line first='' printed='' expected='' error='' place text lines
  count=$((count + 1))
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      '// prints: '*) printed+="${line#// prints: }"$'\n' ;;
      '// expect: '*) expected=${line#// expect: } ;;
      '// error: '*) error=${line#// error: } ;;
    esac
  done <"$2"
  "$VESTAL" build --result "$2" >out.text 2>err.text
  status=$? out=$(<out.text)
  mapfile -t lines <err.text
  for line in "${lines[@]}"; do [[ $line =~ ^[^\ ].*:[0-9]+:[0-9]+:\ error:\  ]] && { first=$line; break; }; done
  if [ -n "$error" ]; then
    [[ $error =~ ^([0-9]+(:[0-9]+)?):\ ?(.*)$ ]] && place=${BASH_REMATCH[1]} text=${BASH_REMATCH[3]}
    is "$name: status" 1 "$status"
    is "$name: output" "${printed%$'\n'}" "$out"
    [[ $first == *".ves:$place:"*" error: "*"$text"* || $first == *".ves:$place: error: "*"$text"* ]] || is "$name: first error" "$error" "$first"
  else
    is "$name: status" 0 "$status"
    is "$name: output" "$printed$expected" "$out"
    [ "$status" = 0 ] || echo "  $first"
  fi
}
shopt -s globstar nullglob
language=$SOURCE/tests/language
for file in "$language"/**/*.ves; do
  # What lies beside a main.ves or below it belongs to that.
  directory=${file%/*}
  while [ "$directory" != "$language" ] && [ ! -f "$directory/main.ves" ]; do directory=${directory%/*}; done
  name=${file#"$language"/}
  if [ "$directory" = "$language" ]; then check_model "${name%.ves}" "$file"
  elif [ "$file" = "$directory/main.ves" ]; then check_model "${name%/main.ves}" "$file"
  fi
done
echo "$count models"
is 'there are models to check' yes "$([ $count -gt 100 ] && echo yes)"
finish
