# Runs commands under vestal and strace and compares what the kernel saw with what was logged. To be sourced by bash.
#
#   watched NAME COMMAND...    in the current directory
#   every_row_is_used          no row of explained.txt has become idle
#   finish
#
# The broker is started beforehand, so that it is not traced, and nothing is replayed. KERNEL_KEEP=DIR keeps the traces.
command -v strace >/dev/null && command -v python3 >/dev/null || { echo "there is no strace or no python3"; exit 77; }
strace -o /dev/null true 2>/dev/null || { echo "strace may not watch processes here"; exit 77; }
here=$PWD faults=0
shim=$(readlink -f "$BUILD/lib/vestal/libvestal_shim.so")
calls=%file,%desc,%process,connect,bind,socket,socketpair
export VESTAL_EVENTS=$here/events
seccomp=--seccomp-bpf
strace -f --seccomp-bpf -o /dev/null true 2>/dev/null || seccomp=
"$VESTAL" run -- true || exit 1

watched() { # NAME COMMAND...
  local name=$1 place=$PWD; shift
  : >"$here/events"
  # The environment in full, for it says what ld.so is to load; of what is read and written only how much.
  strace -f -y -i $seccomp -s 100000 -e abbrev='!execve,execveat' -e raw=read,write,pread64,pwrite64,readv,writev,pwritev,preadv \
    -e trace=$calls -o "$here/trace" "$VESTAL" run --fresh -- "$@" >"$here/out" 2>"$here/err" </dev/null
  local status=$?
  [ $status = "${expected-0}" ] || { echo "$name: status $status"; tail -n 5 "$here/err"; faults=$((faults + 1)); }
  python3 "$SOURCE/tests/kernel/compare.py" "$here/trace" "$here/events" "$shim" "$VESTAL" "$VESTAL_DIR" "$place" "$here/rows" "$name" || faults=$((faults + 1))
  [ -z "${KERNEL_KEEP-}" ] || { cp "$here/trace" "$KERNEL_KEEP/${name// /_}.trace"; cp "$here/events" "$KERNEL_KEEP/${name// /_}.events"; }
}
every_row_is_used() {
  local row
  while read -r row; do
    grep -qx "$row" "$here/rows" || { sed -n "${row}s/^/of no use: /p" "$SOURCE/tests/kernel/explained.txt"; faults=$((faults + 1)); }
  done < <(grep -nE '^(kernel|log) ' "$SOURCE/tests/kernel/explained.txt" | cut -d: -f1)
}
finish() {
  [ $faults -eq 0 ] && exit 0
  echo "$faults faults"
  exit 1
}
