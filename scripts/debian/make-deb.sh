#!/bin/bash
# Makes a Debian package of what `make install-strip` installs.
#
#   make-deb.sh BUILD OUT VERSION DATE [DPKG-DEB-FLAGS...]      leaves OUT/vestal_VERSION-1_ARCHITECTURE.deb
#
# The same build gives the same package: no time but DATE is in it.
set -eu
source=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
build=$(realpath "$1") out=$(realpath "$2") version=$3 date=$4; shift 4
here=$source/scripts/debian
umask 022
SOURCE_DATE_EPOCH=$(date -u -d "$date" +%s)
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
# It has been built already.
${MAKE:-make} -s --no-print-directory -C "$source" -o all O="$build" PACKAGES=have DESTDIR="$root" prefix=/usr install-strip >/dev/null
doc=$root/usr/share/doc/vestal
mkdir -p "$doc" "$root/DEBIAN" "$work/debian"
install -m 644 "$source/README.md" "$source"/docs/*.md "$doc"
gzip -9n "$doc"/*.md
install -m 644 "$here/copyright" "$doc/copyright"
sed "s/@VERSION@/$version-1/; s/@DATE@/$(date -u -R -d "$date")/" "$here/changelog" | gzip -9nc >"$doc/changelog.Debian.gz"
architecture=$(dpkg --print-architecture)
# It wants to know of which source the program is.
printf 'Source: vestal\n\nPackage: vestal\nArchitecture: any\n' >"$work/debian/control"
needs=$(cd "$work" && dpkg-shlibdeps -O -e"$root/usr/bin/vestal" 2>"$work/complaints") || { cat "$work/complaints" >&2; exit 1; }
sed "s/@VERSION@/$version-1/; s/@ARCHITECTURE@/$architecture/; s/@DEPENDS@/${needs#shlibs:Depends=}/; s/@SIZE@/$(du -sk --apparent-size "$root/usr" | cut -f1)/" \
  "$here/control" >"$root/DEBIAN/control"
( cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums )
find "$root" -print0 | xargs -0 touch -h -d "@$SOURCE_DATE_EPOCH"
package=$out/vestal_$version-1_$architecture.deb
dpkg-deb --root-owner-group "$@" --build "$root" "$package.new" >/dev/null
mv "$package.new" "$package"
echo "$package"
