#!/bin/bash
# Every decoder takes any bytes: each fuzz target runs its seeds, the seeds changed, and the inputs that once broke it
# (tests/fuzz/found/TARGET), and if it has been built for libFuzzer (make fuzz) for FUZZ_SECONDS with that.
set -u
faults=0
for source in "$SOURCE"/tests/fuzz/*.cc; do
  name=$(basename "$source" .cc)
  [ "$name" = replay ] && continue
  mkdir -p "$name" "found/$name"
  "$BUILD/fuzz/$name-replay" --seeds "$name"
  [ -d "$SOURCE/tests/fuzz/found/$name" ] && cp "$SOURCE/tests/fuzz/found/$name"/* "$name"
  if ! "$BUILD/fuzz/$name-replay" "$name" >"$name.out" 2>&1; then
    echo "$name: an input is not survived:"
    tail -n 30 "$name.out"
    faults=$((faults + 1))
    continue
  fi
  echo "$name: $(tail -n 1 "$name.out")"
  [ -x "$BUILD/fuzz/$name" ] || continue
  # What libFuzzer finds of interest is added to the corpus; what breaks the target is left in found/.
  if "$BUILD/fuzz/$name" -max_total_time="${FUZZ_SECONDS:-3}" -max_len=65536 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="found/$name/" "$name" >"$name.out" 2>&1; then
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$name.out") runs with libFuzzer"
  else
    echo "$name: libFuzzer found an input, see ${FUZZ_FOUND:-tests/fuzz/found}:"
    tail -n 60 "$name.out"
    if [ -n "${FUZZ_FOUND:-}" ]; then mkdir -p "$FUZZ_FOUND/$name" && cp "found/$name"/* "$FUZZ_FOUND/$name"; fi
    for input in "found/$name"/*; do echo "$input:"; base64 "$input" | head -n 20; done
    faults=$((faults + 1))
  fi
done
[ $faults -eq 0 ] || { echo "$faults faults"; exit 1; }
