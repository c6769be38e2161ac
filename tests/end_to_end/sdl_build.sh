#!/bin/bash
# vestal build: which model it takes, what it prints and ships, its statuses.
. "${0%/*}/cli.sh"

mkdir empty named
echo '{ return "main"; }' >named/.main.ves
echo '{ return "build"; }' >named/build.ves
echo '{ return [ d = [ f = "text\n" ], n = 1 ]; }' >other.ves

run vestal build --result named
result 'of a directory .main.ves is taken' 0 '"main"' ''
rm named/.main.ves
run vestal build -result named
result 'or build.ves' 0 '"build"' ''
cd named; run vestal build --result; mv out.text err.text ..; cd ..
result 'without a model the current directory is taken' 0 '"build"' ''
run vestal build --result other
result 'the suffix may be left out' 0 '*' ''
is 'the result is printed' '[ d=[ f="text\n" ], n=1 ]' "$out"
run vestal build other.ves
result 'without --result nothing is printed' 0 '' ''
run vestal build empty
result 'a directory without a model' 1 '' 'vestal: build: empty: there is neither*'
run vestal build nowhere
result 'no such model' 1 '' 'vestal: build: nowhere.ves: there is no such model'
run vestal build a b
result 'two models' 2 '' 'vestal: build: *'
run vestal build --resutl other
result 'an unknown option' 2 '' "*did you mean '--result'*"
run vestal build --shipfrom d other
result '--shipfrom alone' 2 '' '*--shipto*'

run vestal build other --shipto out --shipfrom d
result 'a part is shipped' 0 '' ''
is 'as a directory' text "$(cat out/f)"
run vestal build other -shipto copy -shipfrom d/f
is 'as a file' text "$(cat copy)"
run vestal build other --shipto all
result 'what is no file cannot be shipped' 1 '' 'vestal: build: /n is t_int*'
is 'and nothing is written' no "$([ -e all ] && echo yes || echo no)"
run vestal build other --shipto out --shipfrom d/g
result 'a part that is not there' 1 '' "vestal: build: d has no name 'g'"

printf '{\n  f(x) { return x / a; };\n  return f(1);\n}\n' >wrong.ves
run vestal build --result wrong
result 'an error has a place, a line and the calls' 1 '' "wrong.ves:2:19: error: *
  f(x) { return x / a; };
                  ^
  in 'f', called at wrong.ves:3:10"
run vestal build --parse wrong
result '--parse does not evaluate' 0 '' ''
printf '{ a = ; b = ; return a\\b/c; }' >spelled.ves
run vestal build -parse spelled
result 'all mistakes are told' 1 '' '*:1:7: error: *:1:13: error: *'
echo '{ a = [ b/c = 1 ]; return a\b/c; }' >mixed.ves
run vestal build --result mixed
result 'a warning is no error' 0 1 '*mixed.ves:1:28: warning: *'

ln -s other.ves link.ves
echo 'import link = link; { return 1; }' >links.ves
run vestal build links
result 'an import does not follow a link' 1 '' '*links.ves:1:15: error: *symbolic link*'
echo 'files named; link.ves; { return < named, link.ves >; }' >links.ves
ln -s build.ves named/alias
run vestal build --result links
is 'in files a link is a list' "< [ alias=< \"build.ves\" >, build.ves=<file $PWD/named/build.ves> ], < \"other.ves\" > >" "$out"

# The example of the documentation gives what is printed there.
mkdir page && cd page && sed -n '/^`hello.ves`:/,/^    }/p' "$SOURCE/docs/sdl.md" | sed -n 's/^    //p' >hello.ves
run vestal build --result hello
is 'the example' "$(sed -n 's/^    \(\[ letters=.*\)/\1/p' "$SOURCE/docs/sdl.md")" "$out"
run vestal build hello --shipto out --shipfrom letters
is 'the example ships' 'Hello, world!' "$(cat out/world.txt)"
# And so does that of an error.
sed -n '/^## Errors/,/^## /s/^    //p' "$SOURCE/docs/sdl.md" >page.text
printf '{\n  // Texts are not made of numbers.\n  greet(n) { return "No " + n; };\n  return greet(1);\n}\n' >letters.ves
run vestal build letters
is 'the error of the documentation' "$(cat page.text)" "$err"
# ---- several calls at once ----
cat >parallel.ves <<'V'
{ f(x) { dummy = _print(x); return x * 2; };
  g(n, v) { return [ $(n + n) = v ]; };
  return < _par_map(f, < 1, 2, 3, 4, 5, 6, 7, 8, 9 >), _par_map(g, [ a = 1, b = 2, c = 3 ]) >; }
V
for threads in 1 2 8; do
  for round in 1 2 3; do
    run vestal build -j $threads --result parallel
    is "with $threads threads, in order" $'1\n2\n3\n4\n5\n6\n7\n8\n9\n< < 2, 4, 6, 8, 10, 12, 14, 16, 18 >, [ aa=1, bb=2, cc=3 ] >' "$out"
  done
done
cat >failing.ves <<'V'
{ f(x) { dummy = _print(x);
         return if x == 6 then _assert(FALSE, "six") else if x == 4 then _assert(FALSE, "four") else x; };
  return _par_map(f, < 1, 2, 3, 4, 5, 6, 7, 8 >); }
V
for threads in 1 8; do
  run vestal build -j $threads --result failing
  result "with $threads threads, the first that fails" 1 $'1\n2\n3\n4' '*error: _assert: four*'
  is "with $threads threads, one error" 1 "$(grep -c 'error:' err.text)"
done
run vestal build -j 0 parallel
result 'no threads' 2 '' 'vestal: build: -j 0: a number from 1 to *'
run vestal build -j many parallel
result 'a number that is none' 2 '' 'vestal: build: -j many: *'
finish
