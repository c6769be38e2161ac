# The oracle of the end-to-end tests: the plain command. To be sourced by bash.
#
#   scenario NAME hit|run SETUP COMMAND
#
# SETUP is shell text that fills an empty directory, COMMAND what is run there: plain, then under vestal with a cache
# that does not know it, then, in the same place filled anew, once more. After each run the exit status, standard output
# and error, and the whole tree (names, types, modes, link targets, link counts, contents) must be what they were plain.
# The last run must be a hit of the whole command ("hit"), or must have run it ("run").
#
# options  if set, vestal's own options for what follows
# finish   ends the script with the number of faults as its status
[ -x "$VESTAL" ] || { echo "there is no $VESTAL"; exit 1; }
here=$PWD
faults=0

stat_count() { "$VESTAL" stats --json | sed -nE "s/.*\"$1\": ?([0-9]+).*/\1/p" | head -n 1; }

tree() {
  ( cd "$1" && find . -printf '%y %#m %n %p -> %l\n' | sed 's/^d \([^ ]*\) [0-9]*/d \1/' | sort -k4
    find . -type f -print0 | sort -z | xargs -0r sha256sum )
}
fill() { # SETUP
  chmod -R u+rwX "$here/t" 2>/dev/null
  rm -rf "$here/t"
  mkdir "$here/t"
  ( cd "$here/t" && eval "$1" ) >/dev/null 2>&1
}
observe() { # LABEL COMMAND...: runs in t and keeps what came of it
  local label=$1; shift
  ( cd "$here/t" && exec "$@" ) >"$here/$label.out" 2>"$here/$label.err" </dev/null
  echo "status $?" >"$here/$label.status"
  tree "$here/t" >"$here/$label.tree" 2>&1
}
compare() { # NAME LABEL
  local what
  for what in status out err tree; do
    if ! cmp -s "$here/plain.$what" "$here/$2.$what"; then
      echo "$1: $what differs from plain when $2:"
      diff "$here/plain.$what" "$here/$2.$what" | head -n 10 | sed 's/^/    /'
      faults=$((faults + 1))
    fi
  done
}
scenario() {
  local name=$1 expect=$2 setup=$3 command=$4 before after
  fill "$setup"; observe plain sh -c "$command"
  fill "$setup"; observe cold "$VESTAL" -v ${options-} run -- sh -c "$command"
  grep '^vestal: ' "$here/cold.err" >"$here/cold.notes"
  sed -i '/^vestal: /d' "$here/cold.err"
  compare "$name" cold
  fill "$setup"
  before=$(stat_count hits)
  observe warm "$VESTAL" -v ${options-} run -- sh -c "$command"
  # What vestal says itself does not belong to the command.
  grep '^vestal: ' "$here/warm.err" >"$here/warm.notes"
  sed -i '/^vestal: /d' "$here/warm.err"
  compare "$name" warm
  after=$(stat_count hits)
  if [ "$expect" = hit ] && ! grep -q '^vestal: hit *sh -c' "$here/warm.notes"; then
    echo "$name: was not a hit:"
    tail -n 3 "$here/cold.notes" | sed 's/^/    cold: /'
    tail -n 3 "$here/warm.notes" | sed 's/^/    warm: /'
    faults=$((faults + 1))
  elif [ "$expect" = run ] && grep -q '^vestal: hit *sh -c' "$here/warm.notes"; then
    echo "$name: was replayed although it must run"
    faults=$((faults + 1))
  fi
}
finish() {
  [ $faults -eq 0 ] && exit 0
  echo "$faults faults"
  exit 1
}
# edited NAME hit|run SETUP COMMAND EDIT
#   COMMAND is run once under vestal as SETUP left things; then SETUP again, EDIT, and COMMAND, plain and under vestal:
#   both must do the same, and vestal must have replayed ("hit") or run it ("run"). EDIT is shell text run in the
#   directory; what it exports holds for COMMAND.
edited() {
  local name=$1 expect=$2 setup=$3 command=$4 edit=$5
  fill "$setup"; observe first "$VESTAL" ${options-} run -- sh -c "$command"
  fill "$setup"
  ( cd "$here/t" && eval "$edit" && cd "$here" && observe plain sh -c "$command" )
  fill "$setup"
  ( cd "$here/t" && eval "$edit" && cd "$here" && observe warm "$VESTAL" -v ${options-} run -- sh -c "$command" )
  grep '^vestal: ' "$here/warm.err" >"$here/warm.notes"
  sed -i '/^vestal: /d' "$here/warm.err"
  compare "$name" warm
  if [ "$expect" = hit ] && ! grep -q '^vestal: hit *sh -c' "$here/warm.notes"; then
    echo "$name: was not a hit: $(tail -n 3 "$here/warm.notes")"
    faults=$((faults + 1))
  elif [ "$expect" = run ] && grep -q '^vestal: hit *sh -c' "$here/warm.notes"; then
    echo "$name: was replayed although something it looked at had changed"
    faults=$((faults + 1))
  fi
}
