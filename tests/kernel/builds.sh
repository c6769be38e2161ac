#!/bin/bash
# What the kernel saw of real builds is what was logged of them: lua, bash and its configure script,
# tools of Go and a program in it.
. "$SOURCE/tests/kernel/watch.sh"
PATH=$BUILD/bin:/usr/lib/go/bin:/usr/bin:/bin
watched_any=no
source_of() { # PACKAGE: its source, in a folder of that name, which becomes the current one
  local archive
  archive=$("$SOURCE/scripts/get-source.sh" "$1" "$BUILD/bench/source") || { echo "the source of $1 is not to be had; left out"; return 1; }
  mkdir -p "$here/$1" && tar xf "$archive" -C "$here/$1" --strip-components=1 && cd "$here/$1" && watched_any=yes
}

if source_of lua5.4; then
  watched 'lua' make linux-readline -j2
  watched 'lua, nothing to do' make linux-readline
  watched 'lua, clean' make clean
fi
if source_of bash; then
  watched 'configure of bash' ./configure --disable-nls
  watched 'bash' make -j2
fi
if command -v go >/dev/null; then
  mkdir -p "$here/go" && cd "$here/go" || exit 1
  printf 'package main\n\nimport (\n\t"fmt"\n\t"os"\n)\n\nfunc main() {\n\t_, err := os.ReadFile("missing")\n\tfmt.Println(err)\n}\n' >hello.go
  export GOCACHE=$here/go/cache GO111MODULE=off HOME=$here
  watched 'a build of Go' go build -o hello hello.go
  watched 'a Go program' ./hello
  watched_any=yes
else
  echo 'there is no Go; left out'
fi
[ $watched_any = yes ] || exit 77
finish
