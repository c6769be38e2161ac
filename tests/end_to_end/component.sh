#!/bin/bash
# vestal component add: installed Debian packages as components, of a database of dpkg that the test makes up.
. "$SOURCE/tests/end_to_end/cli.sh"
command -v dpkg-query >/dev/null || { echo 'no dpkg-query'; exit 77; }
os=$PWD/os
mkdir -p db/info db/alternatives os/{bin,lib,etc} os/usr/share/greet
ln -s bin os/sbin
echo 1 >db/info/format  # files of Multi-Arch: same packages have the architecture in their names
export DPKG_ADMINDIR=$PWD/db
# package NAME FIELDS PATH...: installed, with these files
package() {
  printf 'Package: %s\nStatus: install ok installed\nMaintainer: none\nArchitecture: amd64\nDescription: none\n%b\n' "$1" "$2" >>db/status
  printf '%s\n' /. "${@:3}" >db/info/"$1".list
}
printf '#!/bin/sh\necho greetings\n' >os/bin/greet-1 && chmod 755 os/bin/greet-1
echo configuration >os/etc/greet.conf
echo library >os/lib/libgreet.so.1.0 && ln -s libgreet.so.1.0 os/lib/libgreet.so.1
echo moved >os/bin/tool.distrib && echo other >os/bin/tool
ln -s "$os/etc/alternative" os/bin/greet && ln -s "$os/bin/greet-1" os/etc/alternative
mkfifo os/lib/pipe && cp os/bin/greet-1 os/bin/setuid && chmod 4755 os/bin/setuid
package greet "Version: 1:2.0-3\nPre-Depends: libgreet1 (>= 1.0)\nDepends: nowhere | base:any, virtual, greet-data\nProvides: hello (= 2), c-greeter\n" \
  "$os" "$os/sbin/greet-1" "$os/etc/greet.conf" "$os/bin/tool" "$os/lib/pipe" "$os/bin/setuid" "$os/usr/share/greet" "$os/bin/away"
package libgreet1 "Version: 1.0\nDepends: greet\n" "$os/lib/libgreet.so.1.0" "$os/lib/libgreet.so.1"
package base "Version: 12\n" "$os/usr/share"
package other "Version: 1\nProvides: virtual\n" "$os/bin/tool"
package unrelated "Version: 1\n"
printf 'Package: removed\nStatus: deinstall ok config-files\nMaintainer: none\nArchitecture: amd64\nDescription: none\nVersion: 1\n\n' >>db/status
printf '%s\n' "$os/bin/tool" "$os/bin/tool.distrib" other >db/diversions
printf 'auto\n%s\ngone\n%s\n\n%s\n10\n\n\n' "$os/bin/greet" "$os/bin/gone" "$os/bin/greet-1" >db/alternatives/greet
run dpkg-query -W -f '${Package} ' greet
is 'the database is one' 'greet ' "$out"

run vestal component add greet -o parts
result 'a package and what it depends on' 0 '' '*greet depends on greet-data, which is not installed*vestal: component: 4 components in parts, 4 new or changed: *'
is 'a package of which nothing asks is not there' 'base build.ves greet libgreet1 other' "$(ls parts | tr '\n' ' ' | sed 's/ $//')"
like 'what cannot be in it is told' "*greet: left out: $os/lib/pipe: is neither *greet: left out: $os/bin/setuid: that it runs as its owner*" "$err"
like 'and stands in its README' "*Not in it:*$os/lib/pipe: *" "$(cat parts/greet/README)"
in=parts/greet/root$os
is 'a directory on the way that is a link stays one' bin "$(readlink "$in/sbin")"
is 'the file behind it is there' "$(cat os/bin/greet-1)" "$(cat "$in/bin/greet-1")"
is 'it runs' greetings "$("$in/bin/greet-1")"
is 'what was diverted is where it really is' moved "$(cat "$in/bin/tool.distrib")"
[ ! -e "$in/bin/tool" ] || is 'what another package has in its place is not there' none tool
is 'an alternative that leads to it' "$os/etc/alternative $os/bin/greet-1" "$(readlink "$in/bin/greet") $(readlink "$in/etc/alternative")"
is 'it runs as anybody' 755 "$(stat -c %a "$in/bin/setuid")"
[ -d "$in/usr/share/greet" ] || is 'an empty directory' there gone
is 'a link of the package' libgreet.so.1.0 "$(readlink "parts/libgreet1/root$os/lib/libgreet.so.1")"
is 'nothing is a hard link to the machine' 1 "$(stat -c %h os/bin/greet-1)"

# As a value.
cat >use.ves <<'V'
import parts = parts;
{ components = parts();
  greet = components/greet;
  return [ name = greet/name, version = greet/version, arch = greet/arch, requires = greet/requires, provides = greet/provides,
           required = components/libgreet1/requires, holds = greet/root(components)!$(FIRST) ]; }
V

first=${os#/}; sed -i "s/FIRST/\"${first%%/*}\"/" use.ves
run vestal build --result use
result 'the record' 0 '[[] name="greet", version="1:2.0-3", arch="amd64", requires=< "libgreet1", "base", "other" >, provides=< "hello", "c-greeter" >, required=< "greet" >, holds=TRUE ]' ''

# Again.
stamp() { find parts -printf '%p %T@ %C@ %s\n' | sort | md5sum; }
before=$(stamp)
run vestal component add greet -o parts
like 'again nothing is new' '*4 components in parts, 0 new or changed: *' "$err"
is 'and nothing has been touched' "$before" "$(stamp)"
echo changed >>os/etc/greet.conf && rm os/lib/libgreet.so.1 && echo stray >"$in/stray" && rm "$in/bin/tool.distrib"
run vestal component add greet -o parts
like 'what has changed is copied' '*4 components in parts, 2 new or changed: *' "$err"
is 'a file that has changed' changed "$(tail -n 1 "$in/etc/greet.conf")"
is 'a file that is in its way or gone' 'moved' "$(cat "$in/bin/tool.distrib")$(cat "$in/stray" 2>/dev/null)"
[ ! -L "parts/libgreet1/root$os/lib/libgreet.so.1" ] || is 'a file that the machine has no more' none there
if [ "$(id -u)" != 0 ]; then
  chmod 0 os/etc/greet.conf
  run vestal component add --only greet -o parts
  like 'what may not be read' "*left out: $os/etc/greet.conf: may not be read*" "$err"
  chmod 644 os/etc/greet.conf
fi
run vestal component add --only unrelated -o parts
like 'one more' '*: 1 component in parts, 1 new or changed: *' "$err"
like 'is in the list' '*"unrelated" = *' "$(cat parts/build.ves)"

# Of another architecture, which wants libraries of its own.
foreign() { sed -n "/^Package: $1\$/,/^\$/{s/^Architecture: .*/Architecture: i386\nMulti-Arch: same/;s/^Version: .*/&\n$2/;p}" db/status >db/one && cat db/one >>db/status; }
echo other >os/lib/foreign.so
foreign unrelated 'Depends: libgreet1'
foreign libgreet1 'Conflicts: none'
sed -i '/^Package: \(unrelated\|libgreet1\)$/,/^$/{/^Architecture: amd64$/a Multi-Arch: same
}' db/status
for name in unrelated libgreet1; do mv db/info/$name.list db/info/$name:amd64.list; printf '%s\n' /. "$os/lib/foreign.so" >db/info/$name:i386.list; done
run vestal component add --only unrelated:amd64 unrelated:i386 -o foreign
like 'of two architectures' '*: 2 components in foreign, 2 new or changed: *' "$err"
like 'the foreign one' '*name = "unrelated:i386",*arch = "i386",*requires = < "libgreet1:i386" >,*' "$(cat foreign/unrelated:i386/build.ves)"
is 'has files of its own' other "$(cat "foreign/unrelated:i386/root$os/lib/foreign.so")"
like 'the own one' '*name = "unrelated",*requires = <>,*' "$(cat foreign/unrelated/build.ves)"

# Refused.
run vestal component add greet removed gret -o none
result 'a package that is not installed' 1 '' "vestal: component: not installed: removed, gret; did you mean 'greet'?; a component is made of an installed package: \`apt-get install removed gret\`"
[ ! -e none ] || is 'nothing has been made' '' none
mkdir -p full/greet && touch full/greet/precious
run vestal component add greet -o full
result 'a directory that is no component' 125 '' '*vestal: component: full/greet: is there, and no component'
run vestal component
result 'no act' 2 '' 'vestal: component: nothing to do; *'
run vestal component remove greet
result 'another act' 2 '' "vestal: component: unknown act 'remove'*"
run vestal component add
result 'no package' 2 '' 'vestal: component add: no package*'
run env PATH="$(dirname "$VESTAL")" vestal component add greet
result 'no dpkg' 1 '' 'vestal: component: components are made of installed Debian packages: dpkg-query: *'

# Of the machine's own: documentation is left out.
unset DPKG_ADMINDIR
if dpkg-query -W dash >/dev/null 2>&1 && [ -e /usr/share/doc/dash/copyright ]; then
  run vestal component add --only dash -o own
  is 'documentation is left out' 'no' "$([ -e own/dash/root/usr/share/doc ] && echo yes || echo no)"
  run vestal component add --only --all dash -o own
  cmp own/dash/root/usr/share/doc/dash/copyright /usr/share/doc/dash/copyright || is 'with --all it is there' yes no
fi
finish
