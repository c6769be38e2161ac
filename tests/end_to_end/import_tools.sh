#!/bin/bash
# vestal import: tools of several kinds do the same in their roots, by vestal and by chroot, and do with another input what they do outside.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
here=$(pwd -P)
export PATH=/usr/bin:/bin

# plainly COMMAND...: what it says, its status, and what it makes, by its digest
plainly() {
  rm -rf made
  (cd "$here" && "$@" 2>&1; echo "status $?")
  [ ! -e made ] || sha256sum <made
}
# tool FIRST SECOND [FILE...]: commands as one word each; FILE is what the second needs besides. A result is in made, if it is a file.
tool() {
  local first second plain file
  read -ra first <<<"$1"
  read -ra second <<<"$2"
  command -v "${first[0]}" >/dev/null || return
  rm -rf root root.json made
  run "$VESTAL" import --verify -o root -- "${first[@]}" </dev/null
  is "$1: status" 0 "$status"
  like "$1: verified" '*vestal: import: verify: in the root alone the command did the same' "$err"
  again "$@"
}
# The second one, in a tree and by chroot.
again() {
  local what=$2 second plain file
  read -ra second <<<"$2"
  for file in "${@:3}"; do mkdir -p "root$here/${file%/*}" && cp -a "$file" "root$here/${file%/*}" || faults=1; done
  plain=$(plainly "${second[@]}")
  rm -rf out root"$here"/made
  "$VESTAL" run --tree "$("$VESTAL" tree add root 2>/dev/null)" --cwd "$here" --env PATH --env HOME --env LC_ALL --out out -- "${second[@]}" >tree.text 2>&1
  echo "status $?" >>tree.text
  [ ! -e "out$here/made" ] || sha256sum <"out$here/made" >>tree.text
  is "$what, in a tree" "$plain" "$(grep -v '^vestal: tree: ' tree.text)"
  # /proc and /dev are no part of a root, and some ask for them (java, go).
  unshare -Urmpf sh -c 'mkdir -p "$1/proc" "$1/dev" && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && shift && exec perl -e "chroot shift or die; chdir shift or die; exec @ARGV or die" "$@"' \
    sh root root "$here" "${second[@]}" >chroot.text 2>&1
  echo "status $?" >>chroot.text
  [ ! -e "root$here/made" ] || sha256sum <"root$here/made" >>chroot.text
  is "$what, by chroot" "$plain" "$(cat chroot.text)"
}

printf '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n' >hello.c
printf '#include <stdio.h>\nint twice(int x) { return 2 * x; }\nint main(void) { return twice(printf("other\\n")); }\n' >other.c
tool 'gcc -O2 -flto=1 hello.c -o made' 'gcc -O2 -flto=1 other.c -o made' ./other.c
printf '#include <iostream>\nint main() { std::cout << "hello\\n"; }\n' >hello.cc
printf '#include <iostream>\nint main() { std::cout << 1 + 2 << std::endl; return 1; }\n' >other.cc
tool 'g++ -O2 hello.cc -o made' 'g++ -O2 other.cc -o made' ./other.cc
printf '.TH HELLO 1\n.SH NAME\nhello \\- says so\n' >hello.1
printf '.TH OTHER 1\n.SH NAME\nother \\- says\n.B something else\n' >other.1
tool 'groff -man -Tascii hello.1' 'groff -man -Tascii other.1' ./other.1
printf 'public class Hello { public static void main(String[] words) { System.out.println("hello"); } }\n' >Hello.java
printf 'public class Other { public static void main(String[] words) { for (int i = 0; i < 2; ++i) System.out.println(i); } }\n' >Other.java
tool 'javac Hello.java' 'javac Other.java' ./Other.java
[ ! -f "out$here/Other.class" ] || { cp "out$here/Other.class" . && tool 'java -cp . Hello' 'java -cp . Other' ./Other.class; }
if command -v git >/dev/null; then
  for repository in one two; do
    git init -q $repository && git -C $repository -c user.name=n -c user.email=e commit -q --allow-empty -m "of $repository"
  done 2>/dev/null
  git -C two -c user.name=n -c user.email=e commit -q --allow-empty -m second
  tool 'git -C one log --format=%s' 'git -C two log --format=%s' ./two
fi

# Go keeps a cache of its own, in which are times, so that it is another one each time.
if command -v go >/dev/null; then
  printf 'package main\nimport "fmt"\nfunc main() { fmt.Println("hello") }\n' >hello.go
  printf 'package main\nimport "fmt"\nfunc main() { for i := 0; i < 3; i++ { fmt.Printf("%%d\\n", i) } }\n' >other.go
  printf 'package main\nimport ("fmt"; "bufio")\nfunc main() { fmt.Println(bufio.MaxScanTokenSize) }\n' >more.go
  rm -rf root root.json made
  run "$VESTAL" import -o root -- go build -o made hello.go
  is 'go build' 0 "$status"
  again '' 'go build -o made other.go' ./other.go
  # What a root has not got, the tool itself names.
  cp more.go "root$here/"
  run "$VESTAL" run --tree "$("$VESTAL" tree add root 2>/dev/null)" --cwd "$here" --env PATH --env HOME -- go build -o made more.go
  is 'a package that was not needed before: status' 1 "$status"
  like 'a package that was not needed before' '*bufio*' "$err"
fi
finish
