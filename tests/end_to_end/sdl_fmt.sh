#!/bin/bash
# vestal sdl fmt lays out models in their place, or from standard input.
. "$SOURCE/tests/end_to_end/cli.sh"

printf '{ x=1;\n    return x ; }' >a.ves
cp a.ves b.ves
chmod 640 a.ves
good=$'{ x = 1;\n  return x; }'
run "$VESTAL" sdl fmt <a.ves
result 'standard input' 0 "$good" ''
run "$VESTAL" sdl fmt --check a.ves b.ves
result 'a look only' 1 $'a.ves\nb.ves' ''
is 'changes nothing' yes "$(cmp -s a.ves b.ves && echo yes)"
ln -s a.ves link.ves
run "$VESTAL" sdl fmt link.ves b.ves
result 'in their place' 0 '' ''
is 'what the link leads to' "$good" "$(cat a.ves)"
is 'keeps its mode' 640 "$(stat -c %a a.ves)"
is 'the link stays one' a.ves "$(readlink link.ves)"
touch -d @1000000 a.ves
run "$VESTAL" sdl fmt a.ves
is 'what is laid out is not written' 1000000 "$(stat -c %Y a.ves)"
run "$VESTAL" sdl fmt --check a.ves b.ves
result 'all are' 0 '' ''
printf '{ return 1 +; }\n' >wrong.ves
printf '{return 2;}\n' >other.ves
run "$VESTAL" sdl fmt wrong.ves none.ves . other.ves
result 'what cannot be laid out' 1 '' '*wrong.ves:1:13: error: *vestal: sdl fmt: none.ves: No such file*vestal: sdl fmt: .: a directory*'
is 'stays' '{ return 1 +; }' "$(cat wrong.ves)"
is 'the others are laid out' '{ return 2; }' "$(cat other.ves)"
run "$VESTAL" sdl fmtt
result 'another act' 2 '' "vestal: sdl: unknown act 'fmtt'; did you mean 'fmt'[?]*"
run "$VESTAL" sdl
result 'no act' 2 '' 'vestal: sdl: what? There are fmt and repl*'
run "$VESTAL" sdl --help
result 'help' 0 '*Tools for models*' ''
for model in "$SOURCE"/sdl/lib/*.ves; do run "$VESTAL" sdl fmt --check "$model"; is "$model" '' "$out"; done

# All that the language has, models with mistakes among them.
cp -r "$SOURCE/tests/language" language
run find language -name '*.ves' -exec "$VESTAL" sdl fmt {} +
case $err in *'without changing it'*) printf '%s\n' "$err" | grep 'without changing'; faults=$((faults + 1)) ;; esac
is 'most are laid out' yes "$([ "$(diff -rq "$SOURCE/tests/language" language | wc -l)" -gt 50 ] && echo yes)"
run find language -name '*.ves' -exec "$VESTAL" sdl fmt --check {} +
is 'once is enough' '' "$out"
finish
