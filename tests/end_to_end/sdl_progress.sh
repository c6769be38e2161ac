#!/bin/bash
# vestal build --progress: one line on a terminal, which is gone in the end; nothing elsewhere.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
command -v script >/dev/null || { echo 'not possible here: there is no script(1)'; exit 77; }
PATH=$(dirname "$VESTAL"):/usr/bin:/bin

vestal import -o os -- sh -c 'sleep 0' 2>import.text || { cat import.text; exit 1; }
cat >build.ves <<'V'
files os;
{
  . = [ root = os ++ [ .WD = [] ], envVars = [ PATH = "/usr/bin:/bin" ] ];
  slow(n) { return _run_tool("linux", < "sleep", n >)/code; };
  d = slow("1.1");
  said = _print(7);
  return < slow("0.9"), slow("1.1"), 42 >;
}
V
export TERM=xterm
salt=0
# A new build.
in_terminal() {
  salt=$((salt + 1))
  on_terminal 60 "$1 --salt $salt"
}
# What is left on the terminal: of each line what stands behind the last time that it was erased.
left() { sed 's/.*\^\[K//' <<<"$out"; }

in_terminal 'vestal build --progress --result'
is 'status' 0 "$status"
like 'a tool runs' '*vestal: 0:00  1 running, 0 run, 0 found  sleep 1.1*' "$(drawn)"
like 'time goes on' '*vestal: 0:01 *' "$(drawn)"
like 'later another one' '*1 running, 1 run, 0 found  sleep 0.9*' "$(drawn)"
is 'in the end there is what there would be without it' $'7\n< 0, 0, 42 >' "$(left)"
like 'it has some colour' '*^\[1mvestal:^\[0m*' "$out"
in_terminal 'NO_COLOR=1 vestal build -progress'
like 'without colour' '*vestal: 0:00  1 running*' "$out"
like 'without any' no "$(case $out in *'[1m'*) echo yes ;; *) echo no ;; esac)"
in_terminal 'vestal build'
is 'it is shown only if it is asked for' 7 "$out"
for terminal in dumb ''; do
  in_terminal "TERM=$terminal vestal build --progress"
  is "nothing on a terminal that is '$terminal'" 7 "$out"
done
in_terminal 'vestal build --progress 2>err.text'
is 'nothing if standard error is no terminal' "7 " "$out $(cat err.text)"
in_terminal 'vestal build --progress --trace >out.text'
is 'what is told beside it has lines of its own' 2 "$(left | grep -c '^vestal: miss *sleep 1.1\|^vestal: miss *sleep 0.9')"
sed -i 's/"sleep", n/"sleep", n, "0.000000000000000000000000000000000000000000000000000001"/' build.ves
in_terminal 'vestal build --progress'
is 'a line is as wide as the terminal at most' '' "$(drawn | grep '.\{60\}')"
like 'and ends so that this is seen' '*0 run, 0 found  sleep*...' "$(drawn | head -n 1)"
echo '{ return 1/x; }' >wrong.ves
in_terminal 'vestal build --progress wrong'
like 'an error is told behind it' 'wrong.ves:1:*' "$(left)"
finish
