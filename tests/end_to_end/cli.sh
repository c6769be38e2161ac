# For the tests of the command line: to be sourced by bash. Not a test itself.
faults=0
[ -x "$VESTAL" ] || { echo "there is no vestal at $VESTAL"; exit 1; }

is() { # WHAT EXPECTED ACTUAL
  [ "$2" = "$3" ] && return
  printf '%s\n  expected: %q\n  found:    %q\n' "$1" "$2" "$3"
  faults=$((faults + 1))
}
like() { # WHAT PATTERN ACTUAL: PATTERN is one of the shell's
  # shellcheck disable=SC2254
  case $3 in $2) return ;; esac
  printf '%s\n  expected: %s\n  found:    %q\n' "$1" "$2" "$3"
  faults=$((faults + 1))
}
# run COMMAND...: sets out, err and status
run() {
  "$@" >out.text 2>err.text
  status=$?
  out=$(cat out.text) err=$(cat err.text)
}
# result WHAT STATUS OUT ERR: of the last run
result() {
  is "$1: status" "$2" "$status"
  like "$1: output" "$3" "$out"
  like "$1: standard error" "$4" "$err"
}
broker_pid() { cat "${1:-$VESTAL_DIR}/broker.pid" 2>/dev/null; }
# A shell script that nobody has run before, so that it really runs. The word PAUSE in it becomes a sleep of some 0.6 s
# that nobody has slept before.
fresh_number=0
fresh() { # SCRIPT: sets fresh_script
  fresh_number=$((fresh_number + 1))
  fresh_script=": $$ $fresh_number
${1//PAUSE/sleep 0.6$$$fresh_number}"
}
gone() { # PID: within five seconds
  local round
  for round in {1..100}; do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done
  return 1
}
appears() { # FILE: within ten seconds
  local round
  for round in {1..200}; do [ -e "$1" ] && return 0; sleep 0.05; done
  return 1
}
# What `vestal run --tree` wants of the machine, tried without vestal.
trees_can_be_entered() {
  mkdir -p .lower .upper .work .mount
  unshare -Urmpf sh -c 'mount -t overlay -o lowerdir=.lower,upperdir=.upper,workdir=.work,userxattr overlay .mount && mount -t proc proc .mount' 2>/dev/null
  local status=$?
  chmod -R u+rwX .work && rm -rf .lower .upper .work .mount
  return $status
}
# on_terminal COLUMNS COMMAND: what it writes to a terminal is in out, with ESC as ^
on_terminal() {
  script -qec "stty cols $1; $2" /dev/null </dev/null >terminal.text 2>&1
  status=$?
  out=$(tr '\033' '^' <terminal.text | tr -d '\r')
}
# The lines of progress as they were drawn, without escape sequences.
drawn() { sed 's/\^\[K/\n/g; s/\^\[[0-9]*m//g' <<<"$out" | grep '^vestal: [0-9]*:' | sort -u; }
finish() { exit $((faults > 0)); }
