#!/bin/bash
# The Debian package works from where it was unpacked, has all its files in its list, and is the same each time.
. "$SOURCE/tests/end_to_end/cli.sh"
for tool in dpkg-deb dpkg-shlibdeps make strip; do command -v $tool >/dev/null || { echo "no $tool"; exit 77; }; done
# What has been built is taken as it is; packing with little effort.
package() { make -s -C "$SOURCE" -o all O="$BUILD" PACKAGES=have deb deb_dir="$PWD/$1" DEB_FLAGS='-Zgzip -z1'; }
mkdir one two
run package one
result 'make deb' 0 "$PWD/one/vestal_*-1_*.deb" ''
deb=$out
# Its answer is looked at in the end. It takes no account of who is root here.
lintian=''
if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error --display-level '>=error' "$deb" >lintian.text 2>&1 &
  lintian=$!
fi
run package two
result 'once more' 0 '*' ''
is 'both are the same' "$(sha256sum <"$deb")" "$(sha256sum <"$out")"
like 'it depends on the libc' '*libc6 (>= *' "$(dpkg-deb -f "$deb" Depends)"
is 'its version is that of the program' "$("$VESTAL" --version | sed -n 's/^vestal \([0-9.]*\),.*/\1/p')-1" "$(dpkg-deb -f "$deb" Version)"

dpkg-deb -x "$deb" moved
dpkg-deb -e "$deb" control
is 'all files are listed' "$(cd moved && find usr -type f | sort)" "$(sed 's/^[0-9a-f]*  //' control/md5sums | sort)"
is 'with their sums' '' "$(cd moved && md5sum --quiet -c ../control/md5sums 2>&1)"
for file in bin/vestal lib/vestal/libvestal_shim.so share/man/man1/vestal-make.1.gz share/bash-completion/completions/vestal share/zsh/vendor-completions/_vestal \
  share/fish/vendor_completions.d/vestal.fish share/vestal/sdl share/doc/vestal/copyright share/doc/vestal/changelog.Debian.gz; do
  [ -e moved/usr/$file ] || is "usr/$file" 'is in the package' ''
done
# Nothing of it knows where it was built.
is 'no path of the build is in it' '' "$(grep -rlF -e "$BUILD/" -e "$PWD" moved | head)"
printf 'all: out\nout: in\n\tcp in out\n' >Makefile
date +%N >in
run moved/usr/bin/vestal --summary run -- make
result 'a build from where it was unpacked' 0 'cp in out' 'vestal: 0 hits, 2 misses, 0 not cacheable; *'
rm out
run moved/usr/bin/vestal --summary run -- make
result 'a second one' 0 'cp in out' 'vestal: 1 hit, 0 misses, 0 not cacheable; *'
kill "$(broker_pid)" && gone "$(broker_pid)"
if [ -n "$lintian" ]; then
  wait "$lintian"
  is 'lintian finds no error' '0 ' "$? $(cat lintian.text)"
fi
finish
