#!/bin/bash
# Sees to the Debian packages that some part of the project needs.
#
#   install-packages.sh [--only-check] LIST...       LIST: build check demo bench deb, see packages.txt
#
# Says nothing when everything is there. Otherwise names what is missing, installs it with apt-get (through sudo when
# not root), or, with --only-check or where that is impossible, stops with status 1.
set -u
here=${BASH_SOURCE[0]%/*}
install=yes
[ "${1:-}" = --only-check ] && { install=no; shift; }
[ $# -gt 0 ] || set -- build

wanted=()
while read -r list package _; do
  for asked in "$@"; do [ "$list" = "$asked" ] && wanted+=("$package"); done
done <"$here/packages.txt"

# Not a Debian machine: a plain build may still work with the machine's own libraries.
if ! command -v dpkg-query >/dev/null; then
  [ $install = no ] && exit 0
  echo "This is not a Debian system. Please see that what these Debian packages hold is installed:" >&2
  printf '  %s\n' "${wanted[@]}" | sort -u >&2
  echo "Then run make with PACKAGES=have." >&2
  exit 1
fi

declare -A present=()
while read -r state package; do
  [ "$state" = ii ] && present[$package]=1
done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" 2>/dev/null)
missing=()
for package in "${wanted[@]}"; do
  [ -n "${present[$package]:-}" ] || { missing+=("$package"); present[$package]=1; }
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Missing Debian packages: ${missing[*]}" >&2
if [ $install = no ]; then
  echo "To install them: scripts/install-packages.sh $*" >&2
  exit 1
fi
become_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Not root and no sudo here. Please have them installed: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  become_root=(sudo)
fi
if ! command -v apt-get >/dev/null; then
  echo "There is no apt-get here. Please install them by other means, then run make with PACKAGES=have." >&2
  exit 1
fi

get() {
  "${become_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >&2
}
install_missing() {
  get -y --no-install-recommends install "${missing[@]}"
}
echo "Installing them." >&2
# A fresh machine has no package lists, an old one stale ones: fetch them only when needed.
known=$(apt-cache --no-all-versions show "${missing[@]}" 2>/dev/null | grep -c '^Package: ')
if [ "$known" -ge ${#missing[@]} ] && install_missing; then exit 0; fi
if get update && install_missing; then exit 0; fi
echo "These could not be installed: ${missing[*]}" >&2
exit 1
