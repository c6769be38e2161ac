#!/bin/bash
# Fetches the upstream archive of a Debian source package, once, and prints its path.
#
#   get-source.sh PACKAGE DIR
#
# Works for any user and leaves the system's package lists alone: apt gets its own lists, cache and sources below DIR,
# made from the system's sources with deb turned into deb-src. Status 1 if there is no archive to be had.
set -u
package=${1:?package}
mkdir -p "${2:?directory}" && cd "$2" || exit 1

archive() {
  local file
  for file in "$PWD/$package"_*.orig.tar.*; do
    case $file in *.asc | *'*'*) ;; *) [ -s "$file" ] && echo "$file" && return 0 ;; esac
  done
  return 1
}
archive && exit 0
command -v apt-get >/dev/null || exit 1

state=$PWD/apt
mkdir -p "$state/sources" "$state/lists/partial" "$state/cache/archives/partial"
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
  awk -v name="$codename" '$1 == "deb" && (" " $0 " ") ~ (" (" name "|stable) ") {$1 = "deb-src"; print}' \
    >"$state/sources/own.list"
for file in /etc/apt/sources.list.d/*.sources; do
  [ -f "$file" ] || continue
  # stanza by stanza: those of this release, asked for sources instead of packages
  awk -v name="$codename" -v RS= '(" " $0 " ") ~ ("Suites:[^\n]*[ \t](" name "|stable)[ \t\n]") {
    gsub(/(^|\n)Types:[^\n]*/, "\nTypes: deb-src"); sub(/^\n/, ""); print; print ""}' "$file"
done >"$state/sources/own.sources"

apt() {
  apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$state/sources" \
    -o Dir::State::Lists="$state/lists" -o Dir::Cache="$state/cache" -o APT::Sandbox::User=root \
    -o Acquire::Languages=none -o Acquire::Retries=1 -o Acquire::http::Timeout=30 "$@"
}
# Once a day is enough for the lists, and the packaging half of a package, which may be missing, is not needed.
if [ -z "$(find "$state/lists" -maxdepth 1 -name '*_Sources*' -mtime -1 -print -quit)" ]; then
  apt update >"$state/log" 2>&1
fi
apt source --download-only "$package" >>"$state/log" 2>&1
archive && exit 0
tail -n 3 "$state/log" >&2
exit 1
