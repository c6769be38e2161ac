#!/bin/bash
# Shows the main job on a real program: lua as Debian has it, or, where its source cannot be had, vestal itself.
# Three builds in the same place: plain make, `vestal make` with an empty cache, and after `make clean` once more.
set -u
cd "${BASH_SOURCE[0]%/*}/.." || exit 1
source_top=$PWD
build=${O:-$source_top/build}
place=$build/demo
export VESTAL=$build/bin/vestal VESTAL_DIR=$place/cache LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES O V CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS
. scripts/measure.sh
jobs=$(nproc)

mkdir -p "$place"
end_broker
rm -rf "$place/cache" "$place/tree" "$place"/*.sums "$place"/*.log
trap end_broker EXIT
mkdir -p "$place/tree"

if archive=$(scripts/get-source.sh lua5.4 "$place/source") && tar xf "$archive" -C "$place/tree" --strip-components=1; then
  name="lua ($(basename "$archive"))"
  build_command=(make linux-readline "-j$jobs")
else
  echo "No source of lua to be had; building vestal itself instead."
  name='vestal itself'
  cp -r Makefile scripts cache broker preload makecompat crude-import sdl tests "$place/tree/"
  build_command=(make "-j$jobs" PACKAGES=have all)
fi
cd "$place/tree" || exit 1

fail() {
  echo "demo: $1 failed; the end of its output:" >&2
  tail -n 20 "$2" >&2
  exit 1
}
sums() { find . -type f -print0 | sort -z | xargs -0 sha256sum; }
row() { # LABEL: prints the last measurement, related to the first
  [ -z "${plain_wall:-}" ] && { plain_wall=$measured_wall; plain_cpu=$measured_cpu; }
  awk -v label="$1" -v w="$measured_wall" -v c="$measured_cpu" -v pw="$plain_wall" -v pc="$plain_cpu" -v hits="$2" 'BEGIN {
    printf "  %-34s %8.2f s %7.3f   %8.2f s %7.3f   %s\n", label, w, w / pw, c, c / pc, hits}'
}
stage() { # LABEL COMMAND...: one build, measured
  local label=$1 hits=; shift
  local hits_before misses_before
  [ "$1" = "$VESTAL" ] && { hits_before=$(stat_count hits); misses_before=$(stat_count misses); }
  measure "$@" >"../$label.log" 2>&1
  [ "$measured_status" = 0 ] || fail "$label" "../$label.log"
  [ "$1" = "$VESTAL" ] && hits="$(($(stat_count hits) - hits_before)) hits, $(($(stat_count misses) - misses_before)) misses"
  sums >"../$label.sums"
  case $label in
    plain) row 'make' "$hits" ;;
    cold) row 'vestal make, empty cache' "$hits" ;;
    warm) row 'make clean; vestal make' "$hits" ;;
  esac
}

echo "Building $name with -j$jobs in $place/tree"
echo
printf '  %-34s %10s %7s   %10s %7s\n' '' 'time' 'ratio' 'CPU' 'ratio'
stage plain "${build_command[@]}"
make clean >../clean.log 2>&1 || fail 'make clean' ../clean.log
stage cold "$VESTAL" "${build_command[@]}"
make clean >../clean.log 2>&1 || fail 'make clean' ../clean.log
stage warm "$VESTAL" "${build_command[@]}"
echo

count=$(wc -l <../plain.sums)
if cmp -s ../plain.sums ../cold.sums && cmp -s ../plain.sums ../warm.sums; then
  echo "All $count files are byte for byte those of the plain build. SHA-256 of some:"
  grep -E '\.(o|a|so)$|/(lua|luac|vestal)$' ../warm.sums | sort -k2 | awk 'NR % 8 == 1' | sed 's/^/  /'
else
  echo "demo: THE BUILDS DIFFER:" >&2
  diff ../plain.sums ../cold.sums | head -n 10 >&2
  diff ../plain.sums ../warm.sums | head -n 10 >&2
  exit 1
fi
echo
"$VESTAL" stats
