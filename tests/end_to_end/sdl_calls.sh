#!/bin/bash
# Calls of models and functions are evaluated again only if something that they looked at is another, and nobody can tell.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
PATH=$(dirname "$VESTAL"):/usr/bin:/bin

vestal import -o os -- sh -c 'sort /dev/null; cat /dev/null; false; kill -0 $$' 2>import.text || true
[ -d os ] || { cat import.text; exit 1; }
mkdir project project/src project/lib && mv os project/os
for n in a b c; do echo "text of $n" >project/src/$n; done
cat >project/lib/build.ves <<'V'
files header = head;
{
  compile(name, source) {
    . ++= [ root/.WD = [ $name = source, head = header ] ];
    return [ $(name + ".o") = _run_tool("linux", < "sh", "-c", "sort " + name + " head" >, "", "value")/stdout ];
  };
  return [ compile ];
}
V
echo header >project/lib/head
cat >project/build.ves <<'V'
files os; src;
import lib;
{
  . = [ root = os ++ [ tmp = [] ], envVars = [ PATH = "/usr/bin:/bin" ] ];
  said = _print("building " + src/a);
  return [ objects = _par_map(lib()/compile, src) ];
}
V
sed -i 's/^import lib;/import lib = lib;/' project/build.ves
# What --trace-calls tells, each line once with its number
traced() { sed -n 's/^vestal: \(hit\|miss\|run\)  *\([a-z]*\) .*/\1 \2/p' err.text | sort | uniq -c | sed 's/^ *//' | tr '\n' ',' ; }
# both WHAT TRACE: a build with calls looked up comes out as one that only runs tools
both() {
  run vestal build --trace-calls --shipto made --shipfrom objects --result project
  local with=$out$status
  is "$1" "$2" "$(traced)"
  run vestal build --cache none --shipto plain --shipfrom objects --result project
  is "$1: the result" "$out$status" "$with"
  is "$1: what is shipped" '' "$(diff -r made plain)"
  rm -rf made plain
}
both 'for the first time' '3 miss function,2 miss model,3 miss sh,'
both 'nothing changed' '1 hit model,'
echo unrelated >project/readme
both 'a file that nobody names' '1 hit model,'
both 'and again' '1 hit model,'
echo more >>project/src/b
both 'one source' '2 hit function,1 hit model,1 miss function,1 miss model,1 miss sh,'
echo more >>project/lib/head
# The library hands it on without looking.
both 'what all need' '1 hit model,3 miss function,1 miss model,3 miss sh,'
touch project/src/* project/lib/*
both 'times alone' '1 hit model,'
cp -a project moved
run vestal build --trace-calls --result moved
is 'the directory has another name: models are found' '1 hit model,' "$(traced)"
run vestal build --trace-calls --cache model project
is 'only models' '1 hit model,' "$(traced)"
echo "text of d" >project/src/d
run vestal build --trace-calls --cache model --result project
is 'only models: one more source' '1 hit model,3 hit sh,1 miss model,1 miss sh,' "$(traced)"
both 'what was found with only models' '1 hit model,'
echo "more text of d" >project/src/d
both 'the same with functions' '3 hit function,1 hit model,1 miss function,1 miss model,1 miss sh,'
(ulimit -n 77; run vestal build --trace-calls --result project; is 'tools would have other limits' '4 miss function,2 miss model,4 miss sh,' "$(traced)"; exit $faults)
faults=$((faults + $?))

# ---- two at once: the second does without, and comes out the same ----
sed -i 's/text of/words of/' project/src/*
vestal build --result project >one.text 2>&1 & vestal build --result project >two.text 2>&1 & wait
run vestal build --cache none --result project
is 'two at once' "$out
$out" "$(cat one.text two.text)"
# ---- damage ----
# What runs in the background ignores other signals, so its tools are others.
run vestal build --result project
for file in "$VESTAL_DIR"/calls/*; do printf 'x%.0s' {1..64} | dd of="$file" conv=notrunc bs=1 seek=20 status=none; done
both 'damaged rows are none' '4 hit sh,4 miss function,2 miss model,'
both 'and again after that' '1 hit model,'

# ---- a model with the same text in two places: messages name the one that it is ----
mkdir twice twice/a twice/b
printf '{ get(x) { return _assert(x, "no"); }; return [ get ]; }\n' | tee twice/a/m.ves >twice/b/m.ves
cat >twice/build.ves <<'V'
import a = a/m; b = b/m;
{
  f(p, q) { d = 0; foreach i in < 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60 > do { d += i; }; x = q(); return [ fun = x/get, d ]; };
  r = f(a, a);
  s = f(a, b);
  dummy = r/fun(TRUE);
  return s/fun(FALSE);
}
V
for level in none all all; do
  run vestal build --cache $level twice
  like "the model that failed, $level" 'twice/b/m.ves:1:*' "$err"
done

# ---- deep models that print come out the same ----
mkdir deep
echo '{ d = _print("0123456789"); return if ./n == 0 then 0 else 1 + _self([ n = ./n - 1 ]); }' >deep/p.ves
echo 'import p = p; { return p([ n = 1000 ]); }' >deep/build.ves
for level in none all all; do
  run vestal build --cache $level --result deep
  is "deep models, $level" "1001 1000 0" "$(grep -c 0123456789 out.text) $(tail -n 1 out.text) $status"
done

# ---- what is not kept ----
cat >failing.ves <<'V'
files os = project/os;
{
  . = [ root = os ++ [ tmp = [], .WD = [] ], envVars = [ PATH = "/usr/bin:/bin" ] ];
  f(what) { r = _run_tool("linux", < "sh", "-c", what >); return r/code; };
  return < f("exit 0"), f("exit 3") >;
}
V
for n in 1 2; do
  run vestal build --trace-calls --result failing
  is "a tool that fails, $n" 1 "$status"
  like "a tool that fails, $n: is told" '*exit 3 ended with status 3*' "$err"
  run vestal build -k --trace-calls --result failing
  is "with -k, $n" '< 0, 3 >1' "$out$status"
done
# A result whose contents are gone is made again.
echo '{ return 1; }' >other.ves
run vestal build --result project
before=$out
find "$VESTAL_DIR/blobs" -type f -newer other.ves -delete
run vestal build --result project
is 'after contents have gone' "$before" "$out"
finish
