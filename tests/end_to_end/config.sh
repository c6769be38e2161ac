#!/bin/bash
# What can be chosen: the command line goes before the environment, that before the project's file, that before the user's,
# that before the machine's; `vestal config` tells what holds and who has said so.
. "$SOURCE/tests/end_to_end/cli.sh"
mkdir -p home/.config/vestal project/deep
HOME=$(readlink -f home)
export HOME
user=$HOME/.config/vestal/config.toml
cd project
project=$PWD
config() { "$VESTAL" "$@" config 2>&1; }
line() { # NAME OPTIONS...: of that setting, its blanks made one
  local name=$1
  shift
  config "$@" | grep -E "^(# )?$name = " | tr -s ' '
}
value() { "$VESTAL" config --json | python3 -c 'import json, sys
print([s["value"] for s in json.load(sys.stdin)["settings"] if s["name"] == sys.argv[1]][0])' "$1"; }

# Defaults.
run "$VESTAL" config
result 'defaults' 0 "dir = \"$VESTAL_DIR\"*# environment: VESTAL_DIR*" ''
is 'a default' 'max_size = "20G" # default' "$(line max_size)"
is 'a number' 'idle = 300 # default' "$(line idle)"
is 'all of them' 13 "$(config | grep -c ' = ')"
( unset VESTAL_DIR; is 'the cache by default' "dir = \"$HOME/.cache/vestal\" # default" "$(line dir)"; exit $faults ) || faults=1

# Who says it first.
echo 'summary = true' >"$user"
is "the user's file" "summary = true # file: $user:1" "$(line summary)"
like 'is heeded' 'vestal: 0 hits, *' "$("$VESTAL" run true 2>&1)"
printf '# of the project\nsummary = false\n' >.vestal.toml
is 'the project before the user' "summary = false # file: $project/.vestal.toml:2" "$(line summary)"
is 'is heeded too' '' "$("$VESTAL" run true 2>&1)"
( cd deep && is 'in a directory of the project' "summary = false # file: $project/.vestal.toml:2" "$(line summary)"; exit $faults ) || faults=1
( export VESTAL_SUMMARY=1
  is 'the environment before the project' 'summary = true # environment: VESTAL_SUMMARY' "$(line summary)"
  like 'is heeded as well' 'vestal: 1 hit, *' "$("$VESTAL" run true 2>&1)"
  is 'the command line before the environment' 'summary = false # command line: --summary' "$(line summary --summary=false)"
  is 'the last word of the command line' 'summary = true # command line: --summary' "$(line summary --summary=false --summary)"
  exit $faults ) || faults=1
( VESTAL_SUMMARY='' ; export VESTAL_SUMMARY; is 'an empty variable' "summary = false # file: $project/.vestal.toml:2" "$(line summary)"; exit $faults ) || faults=1
run env VESTAL_SUMMARY=perhaps "$VESTAL" run echo out
result 'a variable that makes no sense' 0 out 'vestal: VESTAL_SUMMARY=perhaps: neither true nor false; false is used'
run "$VESTAL" config
like 'the files that were read' "*# read: $project/.vestal.toml
# read: $user" "$out"
{ echo 'summary = true'; echo 'precise = true'; } >.vestal.toml
is 'other settings of the same file' "precise = true # file: $project/.vestal.toml:2" "$(line precise)"
is 'as JSON' True "$(value precise)"
is 'a number as JSON' 300 "$(value idle)"
VESTAL_PRECISE=no is 'no' 'precise = false # environment: VESTAL_PRECISE' "$(VESTAL_PRECISE=no line precise)"
rm .vestal.toml

# Precise make, by each of them.
printf '#define VALUE 1\n' >value.h
printf 'all: said\nsaid: main.c; grep -h VALUE value.h >said\n' >Makefile
touch main.c
precise() { # WHAT WANTED: after a change that only precise make sees
  "$VESTAL" make --precise >made.text 2>&1
  sed -i "s/VALUE.*/VALUE $RANDOM$1/" value.h
  run "${@:3}" make
  like "$1" "$2" "$out"
}
precise 'not precise' "make: Nothing to be done *" "$VESTAL"
precise 'precise by the environment' 'grep *' env VESTAL_PRECISE=true "$VESTAL"
echo 'precise = true' >.vestal.toml
precise 'precise by the file' 'grep *' "$VESTAL"
precise 'the environment against the file' "make: Nothing to be done *" env VESTAL_PRECISE=false "$VESTAL"
rm .vestal.toml

# What the clock tells and its like.
echo 'clock = "@86400"' >"$user"
is 'a clock by the file' 1970-01-02 "$("$VESTAL" run date -u +%F)"
is 'another by the environment' 1970-01-03 "$(VESTAL_CLOCK=@172800 "$VESTAL" run date -u +%F)"
is 'another by the command line' 1970-01-04 "$(VESTAL_CLOCK=@172800 "$VESTAL" run --clock=@259200 date -u +%F)"
is 'which config tells' 'clock = "@259200" # command line: --clock' "$(line clock --clock=@259200)"
is 'the real one by the command line' "$(date -u +%Y)" "$("$VESTAL" --clock=real run date -u +%Y)"
printf 'hostname = "elsewhere"\nrandom = 7\n' >.vestal.toml
is 'a host name by the file' elsewhere "$("$VESTAL" run hostname)"
is 'a seed that is a number' 'random = "7" # file: '"$project/.vestal.toml:2" "$(line random)"
run env VESTAL_CLOCK=noon "$VESTAL" run touch started
result 'a clock that makes no sense' 125 '' "vestal: VESTAL_CLOCK: 'noon' is neither real nor @SECONDS*"
is 'nothing is started then' no "$([ -e started ] && echo yes || echo no)"
rm "$user" .vestal.toml

# What the cache is like only the user says.
( unset VESTAL_DIR
  printf 'dir = "~/here"\nidle = 77\nmax_size = "1K"\n' >"$user"
  is 'a directory by the file' "dir = \"$HOME/here\" # file: $user:1" "$(line dir)"
  "$VESTAL" run true
  is 'is made' yes "$([ -f "$HOME/here/broker.pid" ] && echo yes)"
  pid=$(broker_pid "$HOME/here")
  is 'the broker is told the rest' 'VESTAL_IDLE=77 VESTAL_MAX_SIZE=1K' "$(tr '\0' '\n' <"/proc/$pid/environ" | grep -E 'IDLE|MAX' | sort | xargs)"
  run "$VESTAL" gc
  like 'a limit that nothing has to go for' 'Removed 0 bytes of *' "$out"
  "$VESTAL" broker --stop
  gone "$pid"
  VESTAL_IDLE=88 VESTAL_MAX_SIZE=unlimited "$VESTAL" run true
  is 'the environment comes first for it too' 'VESTAL_IDLE=88 VESTAL_MAX_SIZE=unlimited' "$(tr '\0' '\n' <"/proc/$(broker_pid "$HOME/here")/environ" | grep -E 'IDLE|MAX' | sort | xargs)"
  "$VESTAL" broker --stop
  echo 'max_size = "unlimited"' >"$user"
  run "$VESTAL" gc
  result 'no limit, by the file' 0 "$user:1 says that the cache may grow without limit*" ''
  VESTAL_MAX_SIZE=3G is 'a limit by the environment' 'max_size = "3G" # environment: VESTAL_MAX_SIZE' "$(VESTAL_MAX_SIZE=3G line max_size)"
  rm "$user"
  exit $faults ) || faults=1

# What is wrong is told with its place and the nearest name, and nothing is started.
wrong() { # FILE TEXT LINE: MESSAGE
  printf '%s\n' "$2" >"$1"
  run "$VESTAL" config
  result "$2" 125 '' "vestal: $1:$3"
  run "$VESTAL" run touch started
  result "$2, run" 125 '' "vestal: $1:$3"
  [ -e started ] && { is "$2: nothing is started" no yes; rm started; }
  rm "$1"
}
wrong "$project/.vestal.toml" 'summry = true' "1: unknown key 'summry'; did you mean 'summary'[?]"
wrong "$user" '
max_sise = "1G"' "2: unknown key 'max_sise'; did you mean 'max_size'[?]"
wrong "$user" 'frobnicate = 1' "1: unknown key 'frobnicate'"
wrong "$user" 'events = "/tmp/x"' "1: unknown key 'events'"
wrong "$user" 'summary = "true"' "1: 'summary' is neither true nor false"
wrong "$user" 'max_size = "much"' "1: 'max_size' cannot be 'much': not a size like 500M or 20G, nor \`unlimited\`"
wrong "$user" 'idle = 0' "1: 'idle' cannot be '0': not a number of seconds from 1 to 1000000"
wrong "$user" 'idle = true' "1: 'idle' is not a text in quotes"
wrong "$user" 'dir = "here"' "1: 'dir' is not an absolute path, nor does it begin with ~/"
wrong "$user" 'network = "some"' "1: 'network' cannot be 'some': *neither allow nor deny nor HOST:PORT"
wrong "$project/.vestal.toml" 'max_size = "1G"' "1: 'max_size' is about the cache, which all projects share; it can stand in ~/.config/vestal/config.toml"
wrong "$project/.vestal.toml" 'dir = "/tmp"' "1: 'dir' is about the cache*"
run "$VESTAL" config --jsn
result 'a wrong option' 2 '' "vestal: unknown option '--jsn'; did you mean '--json'[?]*"

# What is printed can stand in a file.
"$VESTAL" --clock=@5 config >"$user"
run "$VESTAL" config
is 'its own output is read' 0 "$status"
is 'its own output' "clock = \"@5\" # file: $user:$(grep -n '^clock' "$user" | cut -d: -f1)" "$(line clock)"
rm "$user"

# The page names each of them.
for name in $("$VESTAL" config | sed -nE 's/^(# )?([a-z_]+) = .*/\2/p'); do
  grep -q "^| \`$name\`" "$SOURCE/docs/configuration.md" || is 'in docs/configuration.md' "$name" nothing
done

# The machine's file is the last.
if unshare -rm true 2>/dev/null; then
  in_etc() { unshare -rm sh -c 'mount -t tmpfs tmpfs /etc && mkdir /etc/vestal && printf "idle = 5\nsummary = true\n" >/etc/vestal/config.toml && shift && exec "$@"' sh sh "$VESTAL" config | tr -s ' '; }
  like "the machine's file" '*idle = 5 # file: /etc/vestal/config.toml:1*' "$(in_etc)"
  echo 'idle = 6' >"$user"
  like "the user before the machine" "*idle = 6 # file: $user:1
*summary = true # file: /etc/vestal/config.toml:2*" "$(in_etc)"
fi
finish
