#!/bin/bash
# The shim brings nothing of libc with it and shows nothing but what preload/exports.map names.
set -u
cd "${SOURCE:-$(dirname "$0")/../..}" || exit 1
shim=${BUILD:-build}/lib/vestal/libvestal_shim.so
[ -f "$shim" ] || { echo "there is no shim at $shim"; exit 1; }
faults=0
fault() { echo "$*"; faults=1; }

# ld.so's own list of objects and libc's of variables are all that the shim takes from outside, and it can do without.
undefined=$(nm -D --undefined-only "$shim" | awk '{print $NF}' | grep -vx -e _r_debug -e environ)
[ -z "$undefined" ] || fault "undefined symbols:" $undefined

# Shared names: exactly those of the map, or none without a map.
exported=$(nm -D --defined-only "$shim" | awk '$2 != "A" {print $NF}' | sed 's/@.*//' | sort -u)
allowed=
[ -f preload/exports.map ] &&
  allowed=$(sed -E 's,/\*.*\*/,,; s/#.*//' preload/exports.map | awk '
    /global:/ {on = 1; sub(/.*global:/, "")} /local:/ {on = 0} on' | tr -c 'A-Za-z0-9_' '\n' | grep . | sort -u)
[ "$exported" = "$allowed" ] || fault "exports: $(diff <(echo "$allowed") <(echo "$exported") | grep '^[<>]' |
  sed 's/^</only in exports.map:/; s/^>/only in the shim:/' | tr '\n' ' ')"

sections=$(readelf -SW "$shim")
segments=$(readelf -lW "$shim")
dynamic=$(readelf -dW "$shim")
grep -q ' TLS ' <<<"$segments" && fault "there is thread-local storage"
grep -q '(NEEDED)' <<<"$dynamic" && fault "it needs a library: $(grep '(NEEDED)' <<<"$dynamic")"
grep -q '(TEXTREL)' <<<"$dynamic" && fault "its text has relocations"
grep -q 'INITFIRST' <<<"$dynamic" || fault "it is not marked to be initialised first"
grep -q 'GNU_STACK.* RWE ' <<<"$segments" && fault "its stack would be executable"
grep -Eq ' \.(ctors|fini_array|dtors) ' <<<"$sections" && fault "something runs at exit or in the old constructor list"
grep -q '(SONAME).*\[libvestal_shim\.so\]' <<<"$dynamic" || fault "its name is not libvestal_shim.so"
size=$(sed -nE 's/.* \.init_array +INIT_ARRAY +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) .*/\1/p' <<<"$sections")
[ $((16#${size:-0})) -le 8 ] || fault ".init_array has more than one entry: $((16#$size)) bytes"
# Vector state is not saved around a hook.
vector=$(objdump -d --no-show-raw-insn "$shim" | grep -cE '%(xmm|ymm|zmm|mm|st)[0-9(]')
[ "$vector" -eq 0 ] || fault "$vector instructions touch vector or floating-point registers"
exit $faults
