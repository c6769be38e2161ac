#!/bin/bash
# The protocol between shims and broker keeps its promises whoever dies at whatever step, and would not if it were any
# simpler: each BREAK_ in a model is one thing left out, and spin must find what goes wrong then.
set -u
command -v spin >/dev/null || { echo "spin is not installed"; exit 77; }
faults=0

# explore MODEL [-DNAME...]: sets `errors` and `states`
explore() {
  local model=$1; shift
  rm -rf pan*
  spin "$@" -a "$SOURCE/tests/model/$model" >spin.out 2>&1 && gcc -w -O1 -DSAFETY -DNOFAIR -o pan pan.c >>spin.out 2>&1 || {
    cat spin.out
    errors=broken
    return
  }
  ./pan -m10000 >pan.out 2>&1
  errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.out)
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out)
  # An exploration that was cut short has shown nothing.
  grep -qE 'max search depth too small|out of memory' pan.out && errors=incomplete
}
holds() {
  explore "$@"
  echo "$*: ${errors:-none told} errors in ${states:-no} states"
  [ "$errors" = 0 ] && return
  faults=$((faults + 1))
  cat pan.out
}
fails() {
  explore "$@"
  echo "$*: found in ${states:-no} states"
  [[ $errors =~ ^[1-9][0-9]*$ ]] && return
  echo "$*: nothing was found (${errors:-none told} errors)"
  faults=$((faults + 1))
}

holds ring.pml
fails ring.pml -DBREAK_COMMIT_BEFORE_WRITE
fails ring.pml -DBREAK_IGNORE_STAMPS
fails ring.pml -DBREAK_TAIL_BEFORE_READ
fails ring.pml -DBREAK_TRUST_PLACES_GIVEN_UP

holds exec.pml
fails exec.pml -DBREAK_CLAIM_IN_TWO_STEPS
fails exec.pml -DBREAK_RELEASE_IN_TWO_STEPS
fails exec.pml -DBREAK_ANSWER_WHO_GAVE_UP
fails exec.pml -DBREAK_BELIEVE_THE_KILLED
fails exec.pml -DBREAK_STORE_UNSTARTED
fails exec.pml -DBREAK_LEAK_SLOTS
fails exec.pml -DBREAK_WRITE_NOTHING_DOWN
fails exec.pml -DBREAK_ANSWER_AFTER_CHANGES
fails exec.pml -DBREAK_FORGET_TOO_EARLY
fails exec.pml -DBREAK_NEVER_FORGET
[ $faults -eq 0 ] || { echo "$faults faults"; exit 1; }
