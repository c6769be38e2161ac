# For the demo and the benchmark: runs a command and says what it cost. To be sourced by bash.
#
# The CPU time of a command under vestal is that of the command with all its children, and that of the broker, which is
# nobody's child. A broker may still be storing when the command is done, so it is given time to come to rest.

clock_ticks=$(getconf CLK_TCK)

broker_pid() {
  local pid
  [ -f "$VESTAL_DIR/broker.pid" ] && pid=$(tr -cd 0-9 <"$VESTAL_DIR/broker.pid") && [ -n "$pid" ] && [ -d "/proc/$pid" ] &&
    echo "$pid"
}
# milliseconds of CPU time the broker has used, 0 without one
broker_ms() {
  local pid text
  pid=$(broker_pid) || { echo 0; return; }
  text=$(cat "/proc/$pid/stat" 2>/dev/null) || { echo 0; return; }
  text=${text##*) }
  # shellcheck disable=SC2086
  set -- $text
  echo $(((${12} + ${13}) * 1000 / clock_ticks))
}
broker_settle() {
  local before now round
  before=$(broker_ms)
  for round in {1..100}; do
    sleep 0.05
    now=$(broker_ms)
    [ "$now" = "$before" ] && [ "$round" -ge 2 ] && return
    before=$now
  done
}
# peak resident size of the broker in KiB
broker_peak_kib() {
  local pid
  pid=$(broker_pid) && awk '/^VmHWM:/ {print $2}' "/proc/$pid/status" || echo 0
}
end_broker() {
  local pid round
  pid=$(broker_pid) || return 0
  kill "$pid" 2>/dev/null
  for round in {1..100}; do [ -d "/proc/$pid" ] || return 0; sleep 0.02; done
  kill -9 "$pid" 2>/dev/null
  return 0
}

# measure COMMAND...: sets measured_status, measured_wall and measured_cpu (seconds, with three digits).
# The command, which may be a function, runs in a sub-shell with the caller's descriptors and no others.
measure() {
  local TIMEFORMAT='%R %U %S' numbers before=0 after=0 broker_before out err
  broker_before=$(broker_pid)
  [ -n "$broker_before" ] && before=$(broker_ms)
  exec {out}>&1 {err}>&2
  numbers=$({ time "$@" >&"$out" 2>&"$err" {out}>&- {err}>&-; } 2>&1)
  measured_status=$?
  exec {out}>&- {err}>&-
  if [ -n "$(broker_pid)" ]; then
    broker_settle
    after=$(broker_ms)
    [ "$(broker_pid)" = "$broker_before" ] || before=0
  else
    before=0
  fi
  # shellcheck disable=SC2086
  set -- $numbers
  measured_wall=$1
  measured_cpu=$(awk -v u="$2" -v s="$3" -v b="$((after - before))" 'BEGIN {printf "%.3f", u + s + b / 1000}')
}

# stat_count NAME: a number of `vestal stats --json`, 0 without one
stat_count() {
  local count
  count=$("$VESTAL" stats --json 2>/dev/null | tr -d ' \n' | grep -oE "\"$1\":[0-9]+" | head -n 1 | tr -cd 0-9)
  echo "${count:-0}"
}
