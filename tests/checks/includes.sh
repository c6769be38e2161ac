#!/bin/bash
# Includes point down only: what each room of the tree may include, as docs/architecture.md draws it.
set -u
cd "${SOURCE:-$(dirname "$0")/../..}" || exit 1
faults=0

# lines FOLDER...: "file<TAB>included", with the quotes or angle brackets kept
lines() {
  find "$@" \( -name '*.cc' -o -name '*.h' -o -name '*.S' -o -name '*.def' \) -print0 2>/dev/null |
    xargs -0r grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' |
    sed -E 's/^([^:]+):[0-9]+:[[:space:]]*#[[:space:]]*include[[:space:]]*([<"][^>"]*[>"]).*/\1\t\2/'
}
# may FOLDER RULE PATTERN: every include in FOLDER matches PATTERN
may() {
  local file what
  while IFS=$'\t' read -r file what; do
    [[ $what =~ $3 ]] && continue
    echo "$file includes $what: $2"
    faults=1
  done < <(lines "$1")
}
# only PATTERN FILES RULE: an include that matches PATTERN stands only in a file that matches FILES
only() {
  local file what
  while IFS=$'\t' read -r file what; do
    [[ $what =~ $1 ]] || continue
    [[ $file =~ $2 ]] && continue
    echo "$file includes $what: $3"
    faults=1
  done < <(lines preload cache broker makecompat crude-import sdl)
}

may cache 'cache knows no room but itself' '^<|^"cache/'
may preload 'the shim lives without libc: only preload and freestanding or kernel headers' \
  '^"preload/|^<(linux|asm|asm-generic)/|^<(stdint|stddef|stdarg|stdbool|limits|stdatomic)\.h>|^<(cstdint|cstddef|cstdarg|climits|limits|atomic|bit|concepts|compare|initializer_list|type_traits|version|new)>'
may broker 'the broker sees cache, itself, and of the shim only the contract, the way in and how changes are made' \
  '^<|^"(cache|broker)/|^"preload/(protocol|client|redo)\.h"|^"preload/calls\.def"'
may makecompat 'a face asks the broker and includes no other face' '^<|^"(cache|broker|makecompat)/|^"preload/(protocol|client)\.h"'
may sdl 'a face asks the broker and includes no other face' '^<|^"(cache|broker|sdl)/'
only '^"broker/' '^(broker|makecompat|crude-import|sdl/tools)/|^sdl/[a-z]*_command\.cc$' 'the language itself knows no broker'
only '^<leveldb/|^"cache/level_database' '^cache/(step_cache\.cc|step_transfer\.cc|step_cache_state\.h|rows\.cc|level_database\.h)$' 'only the step cache and cache/rows.cc know LevelDB'
only '^"cache/step_cache_state' '^cache/step_(cache|transfer)\.cc$' 'only the step cache knows what is in it'
only '^<boost/interprocess/' '^broker/session_region\.' 'only broker/session_region knows Boost.Interprocess'
only '^<toml\+\+' '^broker/policy_file\.cc$' 'only broker/policy_file.cc knows toml++'
only '^<archive' '^broker/cache_archive\.cc$' 'only broker/cache_archive.cc knows libarchive'
only '^<capstone' '^broker/images/' 'only broker/images knows Capstone'
# broker is a library to the faces: its own rooms must not reach up into its command line
only '^"broker/cli/' '^(broker/cli|makecompat|crude-import)/|^sdl/[a-z]*_command\.cc$' 'only the command line includes itself'
exit $faults
