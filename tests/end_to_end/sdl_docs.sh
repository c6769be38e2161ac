#!/bin/bash
# docs/sdl.md says what is so: its models are written to files, its commands run, and they print what stands there;
# "..." is anything.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
PATH=$(dirname "$VESTAL"):/usr/bin:/bin

# Blocks of indented lines: BLOCK/1 ..., and BLOCK/1.name the text in front of each.
cp "$SOURCE/docs/sdl.md" page
# Its components are of packages that may not be there.
dpkg-query -W gcc-12 libc6-dev >/dev/null 2>&1 || { echo 'no packages gcc-12 and libc6-dev; components are left out'; sed -i '/^## Components/,/^## What/d' page; }
mkdir block
awk '/^    / { if (!inside) { ++n; print text > ("block/" n ".name"); inside = 1 } print substr($0, 5) > ("block/" n); next }
     /^$/ { if (inside) print "" > ("block/" n); next }
     { inside = 0; text = $0 }' page
vestal import -o os -- sh -c 'sort /dev/null; rm -f none' 2>import.text || cat import.text
models=0 commands=0
play() { # FILE: lines "$ command", each with what it prints
  local line command='' expected=''
  check() {
    [ -n "$command" ] || return
    commands=$((commands + 1))
    local pattern
    pattern=$(sed 's/[][*?\\]/\\&/g; s/\.\.\./*/g' <<<"${expected%$'\n'}")
    like "$command" "$pattern" "$(bash -c "$command" 2>&1)"
  }
  while IFS= read -r line; do
    case $line in
      '$ '*) check; command=${line#'$ '} expected= ;;
      '') ;;
      *) expected+=$line$'\n' ;;
    esac
  done <"$1"
  check
}
for ((n = 1; ; ++n)); do
  [ -f block/$n ] || break
  name=$(sed -n 's/^`\([a-z]*\.ves\)`.*/\1/p' block/$n.name)
  if [[ $(head -n 1 block/$n) == '$ '* ]]; then play block/$n
  elif [ -n "$name" ]; then
    # A model and what it prints may follow one another.
    sed '/^\$ /,$d' block/$n >"$name"
    models=$((models + 1))
    sed -n '/^\$ /,$p' block/$n >block/$n.play
    play block/$n.play
  fi
done
is 'there are models and commands' yes "$([ $models -ge 2 ] && [ $commands -ge 4 ] && echo yes || echo "$models $commands")"
finish
