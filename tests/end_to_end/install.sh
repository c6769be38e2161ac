#!/bin/bash
# What is installed works, with and without debugging information, and `make uninstall` takes it away.
. "$SOURCE/tests/end_to_end/cli.sh"
command -v make strip >/dev/null || { echo 'no make or no strip'; exit 77; }
# What has been built is taken as it is.
install() { make -s -C "$SOURCE" -o all O="$BUILD" PACKAGES=have DESTDIR="$PWD/root" prefix=/usr "$@"; }
size() { stat -c %s "$1"; }

printf 'all: out\nout: in\n\tcp in out\n' >Makefile
for target in install install-strip; do
  run install $target
  result $target 0 '' ''
  echo $target >in
  run root/usr/bin/vestal --summary make
  result "a build after $target" 0 'cp in out' 'vestal: 0 hits, 2 misses, 0 not cacheable; *'
  rm out
  run root/usr/bin/vestal --summary make
  result "a second build after $target" 0 'cp in out' 'vestal: 1 hit, 0 misses, 0 not cacheable; *'
  rm out
  [ -n "${whole:-}" ] && is 'it is smaller without' yes "$([ "$(size root/usr/bin/vestal)" -lt $((whole / 2)) ] && echo yes)"
  whole=$(size root/usr/bin/vestal)
  echo 'from /vestal import generic; { help = generic(); return help/join(< "its", "models" >, " "); }' >model.ves
  run root/usr/bin/vestal build --result model
  result "the models that come with it, after $target" 0 '"its models"' ''
  kill "$(broker_pid)" && gone "$(broker_pid)"
done
# A static program is given the shim of the file.
if command -v gcc >/dev/null && echo 'int main(void){return 0;}' >s.c && gcc -static -o s s.c 2>/dev/null; then
  run root/usr/bin/vestal --summary run ./s
  run root/usr/bin/vestal --summary run ./s
  result 'a static program' 0 '' 'vestal: 1 hit, *'
fi
kill "$(broker_pid)" && gone "$(broker_pid)"
run install uninstall
is 'nothing is left' '' "$(find root -type f -o -name '*vestal*')"
finish
