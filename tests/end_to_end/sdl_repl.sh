#!/bin/bash
# vestal sdl repl: values of what is read, definitions that last, errors that end nothing.
. "$SOURCE/tests/end_to_end/cli.sh"
PATH=$(dirname "$VESTAL"):$PATH

# repl WHAT STATUS OUT ERR: of what is on standard input
repl() {
  run vestal sdl repl
  result "$@"
}
repl 'nothing' 0 '' '' </dev/null
repl 'an expression' 0 $'3\n"ab"\n< 1, 2 >' '' <<<$'1 + 2\n"a" + "b";\n\n// nothing\n< 1, 2 >'
repl 'names last, and can be given another value' 0 $'5\n7' '' <<<$'x = 5\nx\nx += 2;\nx'
repl 'several statements in one line' 0 3 '' <<<$'a = 1; b = 2;\na + b'
repl 'a function has captured what was there' 0 $'15\n< 15, 6 >' '' <<<$'x = 5\nf(n) { return n * x; };\nf(3)\nx = 6\n< f(3), x >'
repl 'a function calls itself' 0 120 '' <<<$'fact(n) { return if n == 0 then 1 else n * fact(n - 1); };\nfact(5)'
repl 'an input goes on until it is complete' 0 $'15\n3\n"y"\n7' '' <<'S'
f(n) {
  // a comment

  x = 5;
  return n * x;
}
f(3)
1 +
  2
if f(1) == 3
  then "x"
  else "y"
/* 1
*/ 7
S
repl 'the environment lasts' 0 $'1\n< 1, 2 >' '' <<<$'. = [ a = 1 ]\n./a\nf() { return ./a; }\nd = f()\n. += [ a = 2 ]\n< d, f() >'
repl 'a loop that has no rounds gives no name a value' 1 2 "input 2:1:1: error: 'z' is unbound*" <<<$'foreach i in <> do z = i\nz\nforeach i in < 1, 2 > do z = i\nz'
repl 'what a block defines is gone behind it' 1 1 "*'q' is unbound*" <<<$'{ q = 1; return q; }\nq'
echo 'text' >file
echo '{ twice(x) { return x + x; }; return [ twice ]; }' >lib.ves
repl 'files and models of the current directory' 0 $'"text\\\\n"\n"abab"' '' <<<$'files file\nfile + ""\nimport lib = lib;\nlib()/twice("ab")'
repl 'a file that is not there' 1 1 'input 1:1:7: error: *none*' <<<$'files none;\n1'
repl 'a name of a file after an error' 1 '' "*'none' is unbound*" <<<$'files none;\nnone'

repl 'an error has a caret, and what comes next is read' 1 4 "input 2:1:3: error: '+' takes *
1 + \"a\"
  ^" <<<$'x = 3\n1 + "a"\nx + 1'
repl 'an error in a function is where that was typed' 1 '' "input 1:2:12: error: *
  return n \* n;
           ^
  in 'f', called at input 2:1:1" <<<$'f(n) {\n  return n * n;\n}\nf("a")'
repl 'what cannot be read' 1 9 'input 1:1:5: error: expected an expression, found *=*' <<<$'x = = 2\n9'
repl 'a bracket that closes nothing' 1 9 'input 1:1:2: error: nothing is open *' <<<$'1) + (2\n9'
repl 'a bracket that would close the function that the input is in' 1 9 'input 1:1:3: error: nothing is open *' <<<$'1 }; g() { return 2\n9'
repl 'a text without an end' 1 9 'input 1:1:1: error: this text has no end *' <<<$'"text\n9'
repl 'the end in the middle of an input' 1 1 'input 2:1:3: error: this is not complete*' <<<$'1\nf('
repl 'a comment without an end' 1 1 'input 2:1:1: error: this comment has no end*' <<<$'1\n/* f'
repl 'no tools' 1 9 '*_run_tool is not available here*' <<<$'_run_tool("linux", < "ls" >)\n9'
repl 'an input that fails changes nothing' 1 1 '*' <<<$'x = 1\nx = 2; y = x/a\nx'
repl '_print prints' 0 $'7\n7' '' <<<'_print(7)'
run vestal sdl repl --none
result 'an unknown option' 2 '' '*--none*'
run vestal sdl repk
result 'an act that is misspelt' 2 '' "*did you mean 'repl'*"

if command -v script >/dev/null; then
  typed=$( (printf '1 +\n2\nf(\n\n5\n'; sleep 1) | script -qec 'vestal sdl repl' /dev/null 2>&1 | tr -d '\r')
  like 'on a terminal there are prompts, and an empty line ends an input' '*> *. 3*> *. *error: this is not complete*> 5*' "$typed"
fi
finish
