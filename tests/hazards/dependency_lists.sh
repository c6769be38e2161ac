#!/bin/bash
# Lists of dependencies that compilers write for make: replayed, they are those of the sources of today.
. "$SOURCE/tests/hazards/play.sh"

c='printf "#include \"a.h\"\nint x = A;\n" > m.c; echo "#define A 1" > a.h; echo "int n;" > n.h'
hazard 'a header that is included no more' "$c; printf '#include \"n.h\"\n' >> m.c" 'gcc -MD -c m.c' '= :' '! sed -i /n.h/d m.c; rm n.h' '! echo "#include \"n.h\"" >> m.c; touch n.h'
hazard 'a header that includes another one now' "$c" 'gcc -MMD -MP -MF m.dep -c m.c' '= touch other.h' '! echo "#include \"n.h\"" >> a.h' '! sed -i /n.h/d a.h'
hazard 'a header of the same name elsewhere' "$c; mkdir i; mv a.h i" 'gcc -Ii -MD -c m.c' '! cp i/a.h .' '! rm a.h'
hazard 'only the list' "$c" 'gcc -MM -MT target m.c' '= :' '! printf "#include \"n.h\"\n" >> m.c' '> gcc -MM -MT other m.c'
hazard 'a generated header' "$c; rm a.h" 'gcc -MM -MG m.c' '= :' '! mkdir i; echo > i/a.h' '! echo "#include \"n.h\"" > a.h'
hazard 'lines that tell where' "$c" 'gcc -E m.c' '= :' '! sed -i 1i\\ a.h' '! mkdir d; mv a.h d; ln -s d/a.h a.h'
hazard 'through DEPENDENCIES_OUTPUT' "$c; export DEPENDENCIES_OUTPUT=\$PWD/deps" 'gcc -c m.c' '! :' '= rm deps' '! export DEPENDENCIES_OUTPUT="$PWD/deps2 there"' '! unset DEPENDENCIES_OUTPUT'

mk="$c; touch -d @1000000 m.c a.h; printf 'm.o: m.c; gcc -MMD -MP -c m.c\n-include m.d\n' > Makefile; touch -d @1000000 Makefile"
hazard 'make after a header was edited' "$mk" 'make' '! touch -d @1000000 m.o; echo "#define A 2" > a.h' '! :'
hazard 'make after a header was deleted' "$mk" 'make' '! sed -i "s/#include.*/int A;/" m.c; rm a.h' '! :'
hazard 'make after a header was renamed' "$mk" 'make' '! sed -i "s/a.h/b.h/" m.c; mv a.h b.h; touch -d @1000000 m.o' '! echo "#define A 3" > b.h; touch -d @1000000 m.o'
hazard 'make after everything was cleaned' "$mk" 'make' '= rm m.o m.d' '! rm m.o m.d; echo "#include \"n.h\"" >> a.h; touch -d @1000000 a.h'
hazard 'a list of the linker' 'echo "int main(void) { return 0; }" > m.c; gcc -c m.c; echo "int g;" > g.c; gcc -c g.c; ar rc libg.a g.o' \
  'gcc m.o -L. -lg -Wl,-Map,map -Wl,--dependency-file,deps -o m' '= :' '! mkdir l; mv libg.a l; gcc -shared g.o -o libg.so'

# What is written beside the output goes into the file that is there: it keeps its mode, and other names get it too.
o='echo "int x;" > m.c; gcc -c m.c -o x.o; echo ".globl a" > m.s'
for each in 'ld -r x.o -o r.o -Map=side' 'ld.gold -r x.o -o r.o -Map=side' 'ld -r x.o -o r.o --dependency-file=side' 'as m.s -o r.o --MD side' 'as m.s -o r.o -al=side'; do
  command -v "${each%% *}" >/dev/null || continue
  hazard "beside the output: $each" "$o" "$each" '= :' '! chmod 600 side r.o' '! rm side r.o; echo old > side; echo old > r.o; ln side other; ln r.o other.o' '! rm side r.o'
done
hazard 'beside the output of a driver' "$o" 'gcc -r x.o -o r.o -Wl,-Map=side' '! chmod 600 side r.o' '! rm side; echo old > side; ln side other'
hazard 'a listing, by a driver' "$o" 'gcc -Wa,-aln=side -c m.c -o r.o' '! chmod 600 side r.o' '! rm side; echo old > side; ln side other'
finish
