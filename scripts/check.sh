#!/bin/bash
# Everything `make check` runs: the unit tests, and the scripts in tests/{checks,end_to_end,hazards,model,fuzz,kernel,failpoints}.
#
#   check.sh [PATTERN...]      only the scripts whose name (end_to_end/edit.sh) matches one of the shell patterns
#
# A script is one test: status 0 is a pass, 77 a skip, anything else a failure, and its output is shown then.
# It is started in an empty directory of its own and finds in its environment
#   VESTAL         the program under test, also first on PATH
#   VESTAL_DIR     a cache directory of its own (not yet there)
#   SOURCE, BUILD  top of the source tree, build folder
# and no variable that steers make, gcc, ccache or vestal. It has 300 seconds.
# The last line is `N passed, N failed`, followed by `, N skipped` if there were any.
set -u
cd "${BASH_SOURCE[0]%/*}/.." || exit 1
SOURCE=$PWD
BUILD=${O:-$SOURCE/build}
jobs_max=${CHECK_JOBS:-2}
seconds_max=${CHECK_SECONDS:-300}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/vestal-check.XXXXXX") || exit 1
mkdir "$scratch/result"
end_brokers() {
  local file pid
  for file in "$scratch"/${1:-*}/cache/broker.pid "$scratch"/${1:-*}/here/*/broker.pid; do
    [ -f "$file" ] && pid=$(tr -cd 0-9 <"$file") && [ -n "$pid" ] &&
      [ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$BUILD/bin/vestal")" ] && kill "$pid" 2>/dev/null
  done
}
leave() {
  end_brokers
  # A test may have taken permissions away from its own files.
  chmod -R u+rwX "$scratch" 2>/dev/null
  rm -rf "$scratch"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

# What the caller's make and shell have set must not reach the tests.
unset SAN FAILPOINTS MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES O V CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS CDPATH ENV BASH_ENV
unset LD_PRELOAD LD_LIBRARY_PATH GREP_OPTIONS GCC_COLORS CLICOLOR_FORCE NO_COLOR
while IFS='=' read -r name _; do
  case $name in VESTAL* | CCACHE_* | XDG_*) unset "$name" ;; esac
done < <(env)
export LC_ALL=C SOURCE BUILD VESTAL=$BUILD/bin/vestal PATH=$BUILD/bin:$PATH

# ---- one test: leaves a line "passed failed skipped" and prints what happened --------------------------------------

run_script() {
  local name=$1 place=$scratch/${1//\//.} status started=$SECONDS counts
  mkdir -p "$place/here" "$place/home" "$place/tmp"
  ( cd "$place/here" && VESTAL_DIR=$place/cache HOME=$place/home TMPDIR=$place/tmp \
      timeout -k 10 $seconds_max "$SOURCE/tests/$name" ) >"$place/output" 2>&1 </dev/null
  status=$?
  case $status in
    0) counts='1 0 0'; echo "ok      $name ($((SECONDS - started)) s)" ;;
    77) counts='0 0 1'; echo "skipped $name: $(tail -n 1 "$place/output")" ;;
    *) counts='0 1 0'
      { [ $status = 124 ] && echo "FAILED  $name: not finished after $seconds_max s" || echo "FAILED  $name: status $status"
        sed 's/^/    /' "$place/output"; } ;;
  esac
  echo "$counts" >"$scratch/result/${name//\//.}"
  end_brokers "${name//\//.}"
  chmod -R u+rwX "$place" 2>/dev/null
  rm -rf "$place"
}

run_units() {
  local place=$scratch/units status passed failed summary
  mkdir -p "$place/here" "$place/tmp" "$place/home"
  ( cd "$place/here" && VESTAL_DIR=$place/cache HOME=$place/home TMPDIR=$place/tmp \
      timeout -k 10 $((2 * seconds_max)) "$BUILD/tests/unit_tests" --use-colour no ) >"$place/output" 2>&1 </dev/null
  status=$?
  summary=$(grep -aE '^(All tests passed|test cases:)' "$place/output" | tail -n 1)
  case $summary in
    All*) passed=$(sed -E 's/.* in ([0-9]+) test case.*/\1/' <<<"$summary"); failed=0 ;;
    *) passed=$(sed -nE 's/.*\| *([0-9]+) passed.*/\1/p' <<<"$summary")
      failed=$(sed -nE 's/.*\| *([0-9]+) failed *(\|.*)?$/\1/p' <<<"$summary") ;;
  esac
  passed=${passed:-0} failed=${failed:-0}
  [ $status -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
  if [ "$failed" -eq 0 ]; then
    echo "ok      unit tests: $passed"
  else
    echo "FAILED  unit tests: $failed of $((passed + failed)), status $status"
    sed 's/^/    /' "$place/output"
  fi
  echo "$passed $failed 0" >"$scratch/result/units"
}

# ---- all of them, a few at a time -------------------------------------------------------------------------------------

chosen() {
  [ ${#patterns[@]} -eq 0 ] && return 0
  local pattern
  # shellcheck disable=SC2254
  for pattern in "${patterns[@]}"; do case $1 in $pattern) return 0 ;; esac; done
  return 1
}
# What sanitizers have found, if this is a build with them; see scripts/sanitizer_options.cc.
rm -f "$BUILD"/sanitizer.log.*
patterns=("$@")
tests=()
[ ${#patterns[@]} -eq 0 ] && tests+=(units)
for script in tests/checks/*.sh tests/end_to_end/*.sh tests/hazards/*.sh tests/model/*.sh tests/fuzz/*.sh tests/kernel/*.sh tests/failpoints/*.sh; do
  # Only asked for by name: they need another build, or long.
  [[ $script = tests/failpoints/* || $script = tests/kernel/builds.sh ]] && [ ${#patterns[@]} -eq 0 ] && continue
  [ -x "$script" ] && chosen "${script#tests/}" && tests+=("${script#tests/}")
done

running=0
for name in "${tests[@]}"; do
  if [ $running -ge "$jobs_max" ]; then wait -n; running=$((running - 1)); fi
  {
    if [ "$name" = units ]; then output=$(run_units); else output=$(run_script "$name"); fi
    printf '%s\n' "$output"  # at once, so that two tests' lines do not mix
  } &
  running=$((running + 1))
done
wait

passed=0 failed=0 skipped=0
for name in "${tests[@]}"; do
  # A test without a result did not come to its end.
  read -r p f s <"$scratch/result/${name//\//.}" 2>/dev/null || { p=0 f=1 s=0; echo "FAILED  $name: no result"; }
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
for log in "$BUILD"/sanitizer.log.*; do
  [ -f "$log" ] || continue
  echo "FAILED  found by a sanitizer:"
  head -n 60 "$log" | sed 's/^/    /'
  failed=$((failed + 1))
done
line="$passed passed, $failed failed"
[ $skipped -gt 0 ] && line+=", $skipped skipped"
echo "$line"
[ $failed -eq 0 ]
