#!/bin/bash
# The checks that compare with plain can fail: a tool that is plainly wrong is found, one that never replays has no hits,
# and one that does nothing at all has no faults.
. "$SOURCE/tests/end_to_end/cli.sh"

# Tells of each command what it told the first time, whatever has changed since.
cat >stale <<'P'
#!/bin/bash
known=${0%/*}/known/$(printf '%s\0' "$PWD" "$@" | sha256sum | cut -c1-64)
if [ -e "$known.status" ]; then
  cat "$known.out"
  cat "$known.err" >&2
else
  mkdir -p "${known%/*}"
  "$@" >"$known.out" 2>"$known.err"
  echo $? >"$known.status"
  cat "$known.out"
  cat "$known.err" >&2
fi
exit "$(cat "$known.status")"
P
cat >forgetful <<P
#!/bin/bash
[ "\$1" = run ] && exec '$VESTAL' --fresh "\$@"
exec '$VESTAL' "\$@"
P
chmod +x stale forgetful
top=$PWD
played() { # SCRIPT SCENARIO
  rm -rf "$top/play" "$top/known"
  mkdir "$top/play"
  cd "$top/play" || exit
  HAZARD=$2 run "$SOURCE/tests/hazards/$1"
  cd "$top" || exit
}
for each in 'links.sh retargeted' 'links.sh links that are made'; do
  TOOL="$top/stale" TOOL_RESET="rm -rf '$top/known'" played ${each%% *} "${each#* }"
  for place in top sh make one; do
    result "a stale tool, ${each#* }, $place" 1 "*WRONG   ${each#* } ($place): warm is not as plain*1 scenarios, * faults" ''
  done
  TOOL=env played ${each%% *} "${each#* }"
  result "a tool that does nothing, ${each#* }" 0 '1 scenarios, 0 faults' ''
done
VESTAL=$top/forgetful played links.sh retargeted
for place in top sh make; do
  result "a vestal that replays nothing, $place" 1 "*NO HIT  retargeted ($place): cold, command 2;*warm, command 1;*" ''
done
like 'a vestal that replays nothing is not wrong' '1 scenarios, 3 faults' "$(tail -n 1 <<<"$out")"

builder=$BUILD/tests/random_builder
run "$builder" --seeds 1..8 --no-shrink --tool "$top/stale"
result 'a stale tool, random builds' 1 "*seed [1-8]: *again: *--seeds [1-8]..[1-8]*8 seeds, *" ''
like 'of which most differ' '8 seeds, * builds, [5-8] differ, 0 unsteady, *' "$(tail -n 1 <<<"$out")"
seed=$(sed -nE 's/^seed ([0-9]+):.*/\1/p' <<<"$out" | head -n 1)
rm -rf known
run "$builder" --seeds "${seed:-1}..${seed:-1}" --tool "$top/stale"
result 'the seed that was told, and the smallest script' 1 "seed $seed: *shrunk, for an empty directory*1 seeds, * 1 differ, *" ''
run "$builder" --seeds 1..8 --no-shrink --tool env
result 'a tool that does nothing, random builds' 0 '8 seeds, * 0 differ, 0 unsteady, 0 hits' ''
VESTAL=$top/forgetful run "$builder" --seeds 1..8 --hits 5
result 'a vestal that replays nothing, random builds' 1 '*8 seeds, * 0 differ, 0 unsteady, 0 hits*too few hits: *' ''
finish
