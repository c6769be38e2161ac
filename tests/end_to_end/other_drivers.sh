#!/bin/bash
# Builds that something else than make drives: CMake with both of its generators, ninja, a shell script. Plain, under
# vestal, and once more after the build directory is gone, they print and leave the same; then compilers are replayed.
. "$SOURCE/tests/end_to_end/same.sh"
for tool in cmake ctest ninja make gcc; do
  command -v $tool >/dev/null || { echo "there is no $tool"; exit 77; }
done
project() {
  mkdir src
  cat >src/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.13)
project(greet C)
configure_file(config.h.in config.h)
add_executable(table table.c)
add_custom_command(OUTPUT squares.h COMMAND table squares.h DEPENDS table)
add_library(greet STATIC greet.c squares.h)
target_include_directories(greet PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
add_executable(hello hello.c)
target_link_libraries(hello greet)
enable_testing()
add_test(NAME says COMMAND hello)
END
  echo '#define NAME "@PROJECT_NAME@"' >src/config.h.in
  cat >src/table.c <<'END'
#include <stdio.h>
int main(int count, char** words) {
  FILE* out = count > 1 ? fopen(words[1], "w") : NULL;
  if (!out) return 1;
  for (int n = 0; n < 5; ++n) fprintf(out, "%d,\n", n * n);
  return fclose(out) != 0;
}
END
  cat >src/greet.c <<'END'
#include <stdio.h>
#include "config.h"
static const int squares[] = {
#include "squares.h"
};
void greet(void) { printf("%s: %d\n", NAME, squares[4]); }
END
  echo 'void greet(void); int main(void) { greet(); return 0; }' >src/hello.c
}
# Names that CMake makes up, times that ninja and ctest note or print.
without_chance() { sed -E 's/cmTC_[0-9a-f]+/cmTC/g; s/TryCompile-[A-Za-z0-9]+/TryCompile/g; s,/tmp/cc[A-Za-z0-9]+,/tmp/cc,g; s/ +[0-9.]+ sec/ T sec/g'; }
# build LABEL GENERATOR [VESTAL...]: in a directory that is always filled anew
build() {
  local label=$1 generator=$2 log; shift 2
  fill project
  ( cd t && "$@" cmake -S src -B b -G "$generator" && "$@" cmake --build b -j 1 && cd b && "$@" ctest ) >$label.text 2>$label.err </dev/null
  echo "status $?" >$label.status
  without_chance <$label.text >$label.out
  grep '^vestal: ' $label.err >$label.notes
  sed -i '/^vestal: /d' $label.err
  t/b/hello >>$label.out
  # What these hold otherwise is times, but for the first.
  without_chance <t/b/CMakeFiles/CMakeOutput.log >>$label.out
  for log in CMakeFiles/CMakeOutput.log .ninja_log .ninja_deps Testing/Temporary/LastTest.log Testing/Temporary/CTestCostData.txt; do
    [ ! -e t/b/$log ] || : >t/b/$log
  done
  tree t >$label.tree
}
for generator in Ninja 'Unix Makefiles'; do
  build plain "$generator"
  grep -q 'greet: 16' plain.out || { echo "$generator: not built"; cat plain.text plain.err; faults=$((faults + 1)); }
  build cold "$generator" vestal -v run --
  compare "$generator" cold
  build warm "$generator" vestal -v run --
  compare "$generator" warm
  # With Ninja what is replayed is the shell in which the compiler is.
  for made in table.dir/table.c.o greet.dir/greet.c.o hello.dir/hello.c.o; do
    grep -q "^vestal: miss .*cc .*-o CMakeFiles/$made" cold.notes || { echo "$generator: $made was not compiled"; faults=$((faults + 1)); }
    grep -q "^vestal: hit .*cc .*-o CMakeFiles/$made" warm.notes && ! grep -q "^vestal: [^h].*cc .*-o CMakeFiles/$made" warm.notes ||
      { echo "$generator: $made was not replayed"; grep "$made" warm.notes; faults=$((faults + 1)); }
  done
  grep -q '^vestal: hit .*hello$' warm.notes || { echo "$generator: the test was not replayed"; faults=$((faults + 1)); }
done

# An edit: what does not include it is replayed, and the program says the new thing.
sed 's/n \* n/n + n/' t/src/table.c >table.c
eval "$(declare -f project | sed '1s/project/first_project/')"
project() { first_project; cp "$here/table.c" src/table.c; }
build warm Ninja vestal -v run --
grep -q 'greet: 8' warm.out || { echo 'the edit is not in the program'; faults=$((faults + 1)); }
grep -q '^vestal: miss .*-o CMakeFiles/greet.dir/greet.c.o' warm.notes && grep -q '^vestal: hit .*-o CMakeFiles/hello.dir/hello.c.o' warm.notes ||
  { echo 'after an edit'; grep 'c\.o -c' warm.notes; faults=$((faults + 1)); }

# Ninja by itself, and a script that is replayed as a whole.
by_hand='echo "int main(void) { return 0; }" >m.c
printf "rule cc\n command = gcc -c \$in -o \$out\nbuild m.o: cc m.c\n" >build.ninja
printf "#!/bin/sh\nset -e\nfor n in 1 2; do gcc -DN=\$n -c m.c -o m\$n.o; done\necho made\n" >build.sh; chmod +x build.sh'
scenario 'a shell script' hit "$by_hand" ./build.sh
scenario 'ninja' run "$by_hand" 'ninja && rm .ninja_log'
grep -q '^vestal: hit .*gcc -c m.c -o m.o' warm.notes || { echo 'ninja: gcc was not replayed'; cat warm.notes; faults=$((faults + 1)); }
finish
