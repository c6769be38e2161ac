// The whole contract between the shims of a session and the broker: the session
// region, a piece of POSIX shared memory that every traced process maps.
//
//   offset        what                       written by
//   0             RegionHeader               broker; head, doorbell and state also by shims
//   known_at      bitmap of known steps      broker; says whether a question is worthwhile. In precise sessions also
//                                            names of files that recipes have made, see made_name_key()
//   pending_at    table of pending contents  shims; see below
//   plans_at      table of Plan              broker, entry by entry
//   texts_at      texts, zero-terminated     broker, appended
//   slots_at      table of Slot              both, see below
//   redo_at       RedoLog                    broker; a shim may go on with it, see below
//   ring_at       the log                    shims append, broker consumes
//
// All numbers are little-endian and naturally aligned. Nothing in the region is
// a pointer. The layout is fixed by protocol_version: shim and broker are built
// together, and a shim that finds another version leaves its process untraced.
//
// THE LOG is one ring for the session, counted in units of `unit_bytes`.
// Positions grow for ever; unit p lies at ring_at + p % ring_units * unit_bytes.
// A shim reserves n units by adding n to `head` (the position it gets also is
// the record's place in the order of events), waits until they are free
// (position + n <= tail + ring_units), fills them, and stores the record's stamp
// last, with release order. The broker reads records in order of position and
// then raises `tail`. A position whose stamp does not come is either still being
// written or lost with its writer; the broker waits `hole_ms_max`, then spoils
// every step under way and goes on at the next valid stamp.
//
// QUESTIONS. A shim that needs an answer claims a slot (free -> claimed, together
// with `owner`, in one exchange of both words), names it in the record it appends (`RecordHead::slot`), rings the doorbell and waits
// on the slot's state. So every question is answered with everything known that
// was logged before it. The broker turns claimed -> answering -> answered; the
// shim frees the slot. A shim that gives up turns claimed -> abandoned, and the
// broker then neither replays nor answers; if that fails because the broker is
// answering, the shim goes on waiting. A slot whose owner died is freed by the
// broker.
//
// REPLAYS. A replay's answer and all its changes are written down, the changes in the redo log, before the first of
// them is made. So if the broker is killed between the first and the last, or before it has said that it is done, the
// shim that waits makes the rest (preload/redo.h) and takes the answer. If it is killed before, the shim removes the
// private files made so far, which stand in the log too. There is one log, for a session's replays are made one after
// the other.
//
// PENDING CONTENTS. A file's contents are hashed by the broker a little after a
// step has seen or made them. `pending[hash of the name's last component]`
// holds the epoch in which such an event was logged last: the shim appends the
// record, then reads `epoch` and stores it there. Who is about to destroy
// contents compares it with `hashed_epoch` and, if it is later, first asks the
// broker to catch up (kind_preserve). What a step leaves behind is kept when its
// end is read, so for a name that was written in this session (pending_written)
// it also counts if any process has ended since (`exit_epoch`). A false alarm
// costs a question.
//
// Threads: everything here may be used from any thread, signal handler or
// vfork child. Nothing is ever locked.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace preload {

inline constexpr uint64_t region_magic = 0x6c61747365763031;  // "10vestal"
inline constexpr uint32_t protocol_version = 14;

// The variables a traced process is started with, behind all others:
//   LD_PRELOAD=<shim>:<user's own>:<closure>
//   VESTAL_REGION=<name below /dev/shm>:<umask, octal>:<plan flags, hex>:<random start, hex>
//                 and for a copy that ld.so loads (plan_copy) behind these :<as in VESTAL_PROGRAM>
//   VESTAL_USER_PRELOAD=LD_PRELOAD=...   only if the user has one
// A static program's image, which has the shim inside, is started with these two instead:
//   VESTAL_PROGRAM=<bytes of the first>:<path of the program itself>:<what was executed, as spelled>
//   VESTAL_REGION=...
// The shim removes them before the program sees its environment.
inline constexpr char region_variable[] = "VESTAL_REGION=";
inline constexpr char user_preload_variable[] = "VESTAL_USER_PRELOAD=";
inline constexpr char program_variable[] = "VESTAL_PROGRAM=";

inline constexpr uint32_t unit_bytes = 32;
inline constexpr uint32_t ring_units = 1 << 17;  // 4 MiB
inline constexpr uint32_t record_units_max = 1 << 14;  // 512 KiB
inline constexpr uint32_t stream_bytes_max = 16 << 10;  // in one record; longer writes make several
inline constexpr uint32_t slot_count = 64;
inline constexpr uint32_t slot_text_bytes = 16 << 10;
inline constexpr uint32_t redo_bytes_max = 2 << 20;  // of entries; a replay that needs more is not made
inline constexpr uint32_t plan_count = 4096;
inline constexpr uint32_t known_bits = 1 << 20;
inline constexpr uint32_t pending_count = 1 << 14;  // of uint32_t: an epoch, and
inline constexpr uint32_t pending_written = 1u << 31;
inline constexpr uint32_t texts_bytes = 4 << 20;
inline constexpr uint32_t inherited_fd_max = 10;  // so many descriptors are described at exec,
inline constexpr uint32_t inherited_fd_end = 128;  // all of them below this one
inline constexpr uint32_t hole_ms_max = 1000;
inline constexpr uint32_t answer_ms_max = 60000;
inline constexpr uint32_t hook_slot_count = 8;
inline constexpr uint32_t bound_socket_count = 64;

// The functions hooked at their entry, by slot of the libc image; slot 0 is for
// system calls. In the order of WantedCalls::functions.
enum HookSlot : uint32_t {
  slot_system_calls = 0,
  slot_getenv = 1,
  slot_secure_getenv = 2,
  slot_clock_gettime = 3,
  slot_vfork = 4,
  slot_posix_spawn = 5,
  slot_posix_spawnp = 6,
};

enum RegionState : uint32_t { region_live = 1, region_gone = 2 };

// What the processes of the session are told by clock, random numbers, host name and network, if the user has chosen
// it (docs/session-policies.md). All zero: everything is real. The broker writes it before anybody else sees the
// region, and every process of the session finds it there, so a policy holds for all of them; it is a part of each
// step's key, by its bytes.
enum ClockPolicy : uint32_t { clock_real = 0, clock_fixed = 1, clock_ticking = 2 };
enum RandomPolicy : uint32_t { random_real = 0, random_seeded = 1 };
enum NetworkPolicy : uint32_t { network_allowed = 0, network_denied = 1 /* but for the addresses listed */ };

inline constexpr int64_t clock_tick_ns = 1000000;  // clock_ticking: from one look of a process to its next
inline constexpr uint32_t policy_text_bytes = 64;   // with the zero; the longest host name the kernel knows
inline constexpr uint32_t policy_address_count = 64;

// IPv4 as ::ffff:a.b.c.d; both in network order.
struct PolicyAddress {
  uint8_t address[16];
  uint16_t port;
  uint16_t unused;
};
static_assert(sizeof(PolicyAddress) == 20);

struct SessionPolicies {
  uint32_t clock;    // ClockPolicy
  uint32_t random;   // RandomPolicy
  uint32_t network;  // NetworkPolicy
  uint32_t address_count;
  int64_t clock_ns;  // since 1970, not negative
  char random_seed[policy_text_bytes];
  char host_name[policy_text_bytes];  // empty: real
  PolicyAddress addresses[policy_address_count];
};
static_assert(sizeof(SessionPolicies) == 24 + 2 * policy_text_bytes + 20 * policy_address_count);

enum SessionFlags : uint32_t {
  session_fresh = 1,  // never ask whether a step is known
  session_in_tree = 2,  // names mean those of a sandbox (broker/sandbox/sandbox.h)
  session_precise = 4,  // make is told by the times of files whether they still hold, see PreciseTimes
};

// In a session in a tree there are files mounts, mountinfo and mountstats in this directory. Who opens the table of that name of any
// process, however it is spelled, gets that one: the kernel's would name directories of the machine.
inline constexpr char mount_tables_directory[] = "/dev/.vestal/proc/";

// In a precise session a process with plan_asks_times is told of a regular file, by stat, that it was written at one of
// these times: what a recipe made and still is what it would make, at `holds_ns`; what is no recipe's, at source_time_ns()
// of its own, which is earlier; and what would be made otherwise today, before sources_ns_min, the earlier the later it was
// made, so that it is older than what it was made from; or that it is not there.
struct PreciseTimes {
  int64_t sources_ns, holds_ns;
};
inline constexpr int64_t sources_ns_min = 1000000000000000000;  // 2001
// In the order of the times themselves, if these differ by a microsecond, and between sources_ns_min and sources_ns: the
// last 100 seconds before that, and what is later, are pressed together a thousand times.
constexpr int64_t source_time_ns(int64_t time_ns, const PreciseTimes& times) {
  const int64_t recent_ns = times.sources_ns - 100000000000;
  if (time_ns > recent_ns) time_ns = recent_ns + (time_ns - recent_ns) / 1000;
  if (time_ns > times.sources_ns) return times.sources_ns;
  return time_ns < sources_ns_min ? sources_ns_min : time_ns;
}

struct RegionHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t session_flags;
  uint64_t region_bytes;
  int32_t broker_pid;   // for "is it still there?"
  int32_t top_pid;      // the process that became the command; asks for a flush at its end
  uint64_t fingerprint_key[2];
  // Text offsets from the region's start.
  uint32_t shim_path, libc_image_path, loader_image_path, region_name;
  // Relative to the load base of libc, of ld.so; see broker/images/patcher.h.
  uint64_t libc_slots;
  uint64_t libc_originals[hook_slot_count];
  uint64_t loader_text_offset, loader_text_vaddr, loader_text_size, loader_slot;
  SessionPolicies policies;
  PreciseTimes precise;      // session_precise
  uint64_t constants_check;  // constants_check_of(this): a step that writes into the region must not change another's world

  // Sockets below a name that processes of the session have bound, by hash, newest over oldest. Only if the network is
  // denied.
  uint32_t bound_count;
  uint64_t bound_sockets[bound_socket_count];

  alignas(64) uint32_t state;     // RegionState; a futex
  uint32_t epoch;                 // raised by the broker before each pass over the log
  uint32_t hashed_epoch;          // everything logged in this epoch or earlier has been hashed
  uint32_t exit_epoch;            // in which a process logged its end last
  alignas(64) uint64_t head;      // position of the next record
  alignas(64) uint64_t tail;      // everything before is consumed
  uint32_t tail_bell;             // a futex, changed whenever tail is raised and somebody may wait
  uint32_t tail_waiters;
  alignas(64) uint32_t doorbell;  // a futex the broker sleeps on
  uint32_t broker_asleep;
};
static_assert(sizeof(RegionHeader) <= 4096);

// How to start one program file so that it is traced. An entry is found by its
// key (open addressing, linear, from key % plan_count) and is valid only while
// the file is the one described.
struct Plan {
  uint64_t key;  // plan_key(); 0 is a free entry; stored last, with release order
  uint64_t device, inode, size;
  int64_t mtime_ns;
  // Text: what goes behind the shim and the user's own in LD_PRELOAD; may be empty. With plan_static lines instead:
  // the image to run, the program it was made from, and, for a script, what goes in front of its path, argv[0] included.
  // With plan_copy: the copy, the program, and what goes into LD_PRELOAD.
  uint32_t preload;
  uint32_t flags;    // PlanFlags
};
static_assert(sizeof(Plan) == 48);

enum PlanFlags : uint32_t {
  plan_untraced = 1,       // start it without the shim; the step is not cacheable
  plan_skip_fstat = 2,     // the policy says that what fstat tells of its own files does not matter
  plan_static = 4,         // run the image; it has the shim inside
  plan_copy = 64,          // run the copy, which has slots for the shim
  plan_every_look = 8,     // when it looks at clocks and random numbers matters: each time is logged, up to clock_looks_max
  plan_traps = 32,         // it has, or loads, code whose calls can only be trapped
  plan_guards_environment = 128,  // it says whether it has looked at variables otherwise than by getenv
  plan_is_watched = 512,   // it is make, and the session wants to know its recipes: each look at a regular file is logged, and tokens
  plan_asks_times = 256,   // the same, and the session is precise: it is told times
  plan_tells_input = 16,   // what it reads itself may be what it runs: it says which files, and what, up to input_told_max, from standard input
};

enum SlotState : uint32_t { slot_free = 0, slot_claimed = 1, slot_answering = 2, slot_answered = 3, slot_abandoned = 4 };
enum Verdict : uint32_t {
  verdict_run = 1, verdict_leave = 2,
  // Of a kind_look with a slot.
  verdict_time_source = 3, verdict_time_holds = 4, verdict_time_outdated = 5 /* the time is positions[0].offset */, verdict_time_absent = 6,  // with any other: what it is
};

struct Slot {
  uint32_t state;   // SlotState; a futex
  int32_t owner;    // pid
  uint32_t verdict; // Verdict
  uint32_t plan;    // verdict_run: index of the plan to use, or plan_count for none (then as plan_untraced)
  int32_t status;   // verdict_leave: as wait(2) reports it
  uint32_t text_bytes;  // verdict_leave: bytes of StreamPieces in `text`, or, if `in_file`, of the file's name there
  uint32_t in_file;     // the pieces stand in the file named by `text`, which the shim removes
  uint32_t position_count;
  struct { int32_t fd; int32_t unused; int64_t offset; } positions[4];  // verdict_leave: where to leave descriptors that are files
  char text[slot_text_bytes];
};

// verdict_leave: what to write where, in order; each piece is followed by its
// bytes, padded to a multiple of eight.
struct StreamPiece {
  uint32_t fd;
  uint32_t bytes;
};

enum RedoKind : uint32_t {
  redo_rename = 1,  // path to text
  redo_overwrite,   // text, a regular file, gets the contents of path, and path goes
  redo_link,        // path becomes another name of text
  redo_unlink, redo_rmdir, redo_mkdir,
  redo_chmod,
  redo_time,        // of modification; of a symlink itself
};
enum RedoFlags : uint32_t {
  redo_over_symlink = 1,   // rename: text may be a symlink, not only a regular file or nothing
  redo_same_file = 2,      // rename: the two may be names of one file
  redo_now = 4,            // time: the kernel's, not mtime_ns
  redo_same = 32,          // time: that of the file whose path is the text, made before it in this log
  redo_if_made = 8,        // chmod: only if the entry `maker` has made the directory
  redo_found_there = 16,   // mkdir, afterwards: it was there
};

// Behind it path and text, each with a zero, padded to a multiple of eight.
struct RedoEntry {
  uint32_t bytes = 0;  // of all of that
  uint32_t kind = 0;   // RedoKind
  uint32_t flags = 0;  // RedoFlags
  uint32_t mode = 0;   // mkdir, chmod: permissions
  uint32_t type = 0;   // chmod: S_IFREG or S_IFDIR, what it has to be
  uint32_t maker = 0;  // redo_if_made: where that entry begins, from the first change
  uint32_t path_bytes = 0, text_bytes = 0;  // with their zeros
  int64_t mtime_ns = 0;
};
static_assert(sizeof(RedoEntry) == 40);

// Behind it the entries: first a redo_unlink for each private file, written before the file is made, then the changes.
struct RedoLog {
  uint32_t slot;       // whose answer waits for it, + 1; 0: nobody's. Stored when all the rest is there
  uint32_t committed;  // all changes are written down, and so is the answer; stored before the first is made
  uint32_t begin;      // of the changes; counted, as all that follows, in bytes from the first entry
  uint32_t end;
  uint32_t done;       // what has been made ends here; perhaps the next change has been made as well
  uint32_t unused;
};
static_assert(sizeof(RedoLog) % 8 == 0);

constexpr uint64_t align_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

inline constexpr uint64_t known_at = 4096;
inline constexpr uint64_t pending_at = known_at + known_bits / 8;
inline constexpr uint64_t plans_at = pending_at + pending_count * sizeof(uint32_t);
inline constexpr uint64_t texts_at = align_up(plans_at + plan_count * sizeof(Plan), 4096);
inline constexpr uint64_t slots_at = texts_at + texts_bytes;
inline constexpr uint64_t redo_at = align_up(slots_at + slot_count * sizeof(Slot), 4096);
inline constexpr uint64_t ring_at = align_up(redo_at + sizeof(RedoLog) + redo_bytes_max, 4096);
inline constexpr uint64_t region_bytes = ring_at + uint64_t{ring_units} * unit_bytes;

// ---- images of static programs ----------------------------------------------------------------------------------------
// Such an image (broker/images/static_image.h) holds the shim's segments as they are, so that one build of the shim fits
// all. The shim's ELF entry point is a StaticTable; distances count from the structure they stand in.

inline constexpr uint64_t static_table_magic = 0x7461747374736576;  // "veststat"

struct StaticTable {
  uint64_t magic;
  int32_t start;        // jump here with the StaticImage in rax and the rest as the kernel left it
  int32_t hook;         // as slot 0 of libc's image
  int32_t choose;       // for a call that may share memory or stack, see static_entry.S
  int32_t vfork_depth;  // uint32_t: how many calls like vfork are under way
};
static_assert(sizeof(StaticTable) == 24);

// In the image, for the shim.
struct StaticImage {
  int64_t entry;          // where the program itself starts
  int64_t headers;        // its program headers
  int64_t malloc_mark;    // eight bytes that glibc's malloc fills with random ones and shows nobody; 0 if not known
  uint32_t header_count;
  uint32_t small_stacks;  // its threads' stacks have no room for the shim: it is Go
  uint64_t vaddr;         // of this structure, before anything is moved
  uint32_t traps;         // none of its calls is patched
  uint32_t unused;
};
static_assert(sizeof(StaticImage) == 48);

// ---- copies that ld.so loads ------------------------------------------------------------------------------------------

inline constexpr uint64_t copy_slots_magic = 0x746f6c7374736576;  // "vestslot"

// In a copy of a program made by Go (broker/images/linked_image.h), in a segment of its own, which is the only one of that
// size that can be written to. Filled in by the shim, `hook` last.
struct CopySlots {
  uint64_t magic;
  void* hook;     // as slot 0 of libc's image; none: there is no shim
  void* choose;   // as StaticTable::choose
  void* vfork_depth;  // uint32_t*
};
static_assert(sizeof(CopySlots) == 32);

// ---- records ------------------------------------------------------------------------------------------------------

enum Kind : uint16_t {
  kind_filler = 0,  // nothing; pads the ring

  // Processes. A pid's first record is started, forked_child, or one with parent_pid (in a vfork child).
  kind_exec,          // about to execve. payload ExecPayload; text: see there
  kind_exec_failed,   // that execve returned; result
  kind_started,       // the shim is in place after an execve. arg: parent pid
  kind_forked,        // arg: child pid; by the parent
  kind_forked_child,  // arg: parent pid; by the child, before anything else
  kind_exited,        // result: exit status; arg, arg2: CLOCK_REALTIME in ns, low and high word
  kind_reaped,        // a wait succeeded. arg: child pid, result: wait status
  kind_signalled,     // kill(2), of itself or another process. arg: pid, result: signal

  // Names. text: the path as the program spelled it, or absolute if it was relative to a descriptor.
  // Relative paths count from the process's working directory. result: 0 or more, or -errno.
  kind_look,      // stat and the like, payload StatPayload if result == 0; arg: LookFlags
  kind_fstat,     // of a descriptor the process opened itself. arg: fd, payload StatPayload; no text
  kind_access,    // arg: mode as for access(2)
  kind_open,      // result: fd or -errno. arg: flags as for open(2), arg2: the mode a file made by it has, and below. Left out only if the same was logged for this fd last
  kind_readlink,  // result: bytes of the target; text2: target, not cut off
  kind_list,      // getdents. payload ListPayload; text: absolute path of the directory. result as getdents
  kind_chdir,     // text2: the new directory as getcwd tells it, if result == 0
  kind_mkdir, kind_rmdir, kind_unlink,
  kind_rename,    // text: from, text2: to. arg: flags as for renameat2
  kind_link,      // text: existing, text2: new. arg: 1 if a final symlink of `existing` was followed
  kind_symlink,   // text: new name, text2: target
  kind_chmod,     // arg: mode
  kind_chown,
  kind_utimens,   // times set. arg: 1 if a final symlink was not followed; payload TimesPayload
  kind_truncate, kind_mknod, kind_xattr_set,

  // What else the process is told.
  kind_getenv,     // arg: GetenvKind; text: name
  kind_clock,      // arg: ClockSource
  kind_random,     // arg: how many bytes
  kind_number,     // was told the number of a process, group or session. arg: the number
  kind_spoil,      // did something that cannot be recorded. text: what, for a human; arg: SpoilReach
  kind_altered,    // has other limits, processors, ... from now on, as all that it starts. arg: Attribute; payload: what was set

  // Descriptors the process did not open itself.
  kind_stream,      // wrote bytes. arg: fd; payload FdPayload; text: the bytes
  kind_fd_kind,     // asked what kind of thing it is. arg: fd; result: FdQuestion; payload FdPayload
  kind_fd_read,     // read from it, noted once; arg2: 1, or 0 if it only asked for the size. arg: fd; payload FdPayload; text: absolute path if a regular file
  kind_fd_position, // at exit: where a regular file it read from was left. arg: fd; payload FdPayload (offset)

  kind_input,   // a shell read this itself. text: bytes of its standard input, a newline for each zero, or, if arg is input_is_file, a file's path, and text2: all that is in it, if that is short

  kind_code,  // mapped a file to be run, as ld.so does for dlopen. text: its absolute path

  kind_mapped,  // may write to a file by a shared mapping, to its end. text: its absolute path; payload StatPayload

  kind_holes,  // asked where a file has holes (lseek). text: its absolute path; arg: 1 if it was told of one

  kind_closed,  // closed the last descriptor by which it could write to a file. arg: pending_index() of the name it was opened by

  kind_token,   // plan_is_watched: read a byte from a pipe of its own, as make does before it runs one more job at the same time

  // Questions without a record of their own.
  kind_preserve,  // text: path that is about to become something else. arg: 1 if its contents will be changed in part
  kind_flush,     // the top process is about to exit; comes after its kind_exited
};

enum GetenvKind : int32_t {
  getenv_name = 0,
  getenv_all = 1,   // all variables, as they were at the start
  getenv_only = 2,  // until now this process has looked at no other variables than those it has named; see env_guard.h
};
enum LookFlags : int32_t { look_nofollow = 1, look_no_stat = 2 /* the payload means nothing */, look_xattr = 4 };
enum ClockSource : int32_t { clock_by_gettime = 1, clock_by_timeofday = 2, clock_by_time = 4, clock_by_usage = 8,
  clock_by_monotonic = 16 /* clock_gettime of one that measures how long something takes */,
  clock_unseen = 32 /* from now on looks are not logged any more */,
  clock_by_machine = 64 /* sysinfo: who asks for memory is told the uptime too */,
  clock_by_usage_again = 128 /* instead of clock_by_usage, after one of these */ };
inline constexpr uint32_t clock_looks_max = 4096;
inline constexpr uint32_t input_told_max = 1 << 16, input_piece_max = 256, input_file_max = 8192;
enum SpoilReach : int32_t {
  spoils_step = 0,
  spoils_what_follows = 1,  // and all that the process executes from now on
  spoils_session = 2,       // and all that is under way or executed by anybody
};
// In arg2 of kind_open for writing, beside the mode for a new file: it was there, a regular file; and under other names too.
inline constexpr int32_t open_found_it = 1 << 16, open_has_other_names = 1 << 17;
enum Attribute : int32_t {
  attribute_limit = 0,  // + number of the resource
  attribute_processors = 100, attribute_personality, attribute_niceness, attribute_scheduling, attribute_disk_priority
};
enum InputKind : int32_t { input_is_piece = 0, input_is_last_piece = 1 /* what follows is not told */, input_is_file = 2 };
enum FdQuestion : int32_t {
  fd_asked_kind = 1,      // the null device, a terminal, or neither
  fd_asked_exactly = 2,   // a pipe, a file, ...
  fd_asked_window = 4,    // whether it is a terminal, and its size
  fd_asked_sharing = 8,   // by the broker: with which others it is one stream
  fd_asked_position = 16,
  fd_asked_access = 32,   // what F_GETFL tells
  fd_asked_terminal = 64, // whether it is open, and a terminal
  fd_asked_again = 128,   // opened once more to be written to: whether it is a file, where that makes a difference
};

struct RecordHead {
  uint64_t stamp;     // stamp_of(position), stored last with release order
  int32_t pid;        // of the process, not the thread
  uint16_t kind;      // Kind
  uint16_t slot;      // question slot + 1, or 0
  uint32_t units;     // of the whole record, 1..record_units_max
  int32_t result;
  int32_t arg;
  uint32_t payload_bytes;  // a multiple of eight, behind the head
  uint32_t text_bytes;     // behind the payload
  uint32_t text2_bytes;    // behind the text
  int32_t arg2;
  int32_t parent_pid;  // in a vfork child, whose parent's memory it shares: that parent; else 0
};
static_assert(sizeof(RecordHead) == 48);

struct StatPayload {
  uint32_t mode, links, uid, gid;
  uint64_t device, inode, size;
  int64_t mtime_ns;
};
static_assert(sizeof(StatPayload) == 48);

struct TimesPayload { int64_t mtime_ns; int64_t is_now; };

// The entries of a directory as this call of getdents gave them, "." and ".."
// left out. `sum` adds entry_hash() of each.
struct ListPayload { uint64_t sum; uint64_t entries; };

enum FdKind : uint8_t { fd_closed = 0, fd_null, fd_terminal, fd_pipe, fd_regular, fd_directory, fd_socket, fd_device, fd_random };

// A descriptor as fstat describes it; two with the same device and inode are
// taken for the same stream.
struct FdPayload {
  uint64_t device, inode;
  int64_t offset;    // of a regular file; of a terminal its rows << 16 and columns; else 0
  uint8_t kind;      // FdKind
  uint8_t appends;   // O_APPEND
  uint8_t fd;
  uint8_t writable;  // O_ACCMODE: 0 if it can only be read
  uint32_t waits;    // no O_NONBLOCK
};
static_assert(sizeof(FdPayload) == 32);

// What names a step. Behind it, packed in `text`:
//   program path (absolute), working directory, argument_count arguments: each zero-terminated,
//   then variable_count times: uint64_t fingerprint (unaligned), name, zero;
//   then, if exec_has_library_path, the value of LD_LIBRARY_PATH, zero.
struct ExecPayload {
  int32_t parent_pid;
  uint32_t umask;
  uint32_t argument_count, variable_count;
  uint32_t flags;  // ExecFlags
  uint32_t fd_count;
  uint64_t short_key;
  uint64_t random_start;  // random_seeded: where the program's random numbers begin; else 0
  uint64_t ignored_signals, blocked_signals;  // those the program begins with: bit 0 is signal 1
  int32_t session_id;     // getsid(2)
  int32_t unused;
  int64_t when_ns;        // CLOCK_REALTIME, whatever the program is told of it
  FdPayload fds[inherited_fd_max];  // the first fd_count, by number; those the program inherits
};
enum ExecFlags : uint32_t {
  exec_too_big = 1,      // arguments and environment did not fit and are left out
  exec_unknown_parent = 2,  // not made by fork, vfork or posix_spawn of libc
  exec_has_preload = 4,  // the environment has an LD_PRELOAD of the user's
  exec_foreign_fds = 8,  // has inherited descriptors that are not described
  exec_has_library_path = 16,
  exec_leads_group = 32,  // of processes, and so cannot begin a session
  exec_leads_session = 64,
};

// Never 0, and nothing that stands in a record by chance: a text that ends with "_" and zeros is the number 95.
constexpr uint64_t stamp_of(uint64_t position) { return (position * 2 + 1) * 0x9e3779b97f4a7c15; }

// ---- hashes both sides compute ---------------------------------------------------------------------------------------

constexpr uint64_t mix(uint64_t a, uint64_t b) {
  const __uint128_t product = static_cast<__uint128_t>(a ^ 0x9e3779b97f4a7c15) * (b ^ 0xc2b2ae3d27d4eb4f);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// A fast hash for tables; not for anything that an enemy may choose. Equal text
// and seed, equal hash, on any machine of this kind.
inline uint64_t quick_hash(const char* text, size_t bytes, uint64_t seed = 0) {
  uint64_t state = mix(seed + 0x243f6a8885a308d3, bytes);
  while (bytes >= 8) {
    uint64_t word;
    __builtin_memcpy(&word, text, 8);
    state = mix(state ^ word, 0x13198a2e03707344);
    text += 8;
    bytes -= 8;
  }
  uint64_t rest = 0;
  for (size_t i = 0; i < bytes; ++i) rest |= static_cast<uint64_t>(static_cast<unsigned char>(text[i])) << (8 * i);
  return mix(state ^ rest, 0xa4093822299f31d0);
}

// One entry of a listing; `type` as in d_type.
inline uint64_t entry_hash(const char* name, size_t bytes, unsigned type) { return quick_hash(name, bytes, 0x6c697374 + type); }

// Over what stands in front of it in the header and is written only once.
inline uint64_t constants_check_of(const RegionHeader& header) {
  const char* start = reinterpret_cast<const char*>(&header.version);
  const char* end = reinterpret_cast<const char*>(&header.constants_check);
  return quick_hash(start, static_cast<size_t>(end - start), 0x72656769);
}

inline uint64_t plan_key(const char* path, size_t bytes, const char* library_path, size_t library_path_bytes) {
  const uint64_t key = quick_hash(path, bytes, library_path_bytes ? quick_hash(library_path, library_path_bytes) : 0);
  return key ? key : 1;
}

// By the last component alone, so that it does not matter how a path is spelled.
inline uint64_t last_name_hash(const char* path, size_t bytes, uint64_t seed = 0) {
  size_t start = bytes;
  while (start > 0 && path[start - 1] != '/') --start;
  return quick_hash(path + start, bytes - start, seed);
}
inline uint32_t pending_index(const char* path, size_t bytes) { return last_name_hash(path, bytes) % pending_count; }
// The bit of the table of known steps that says that recipes have made files of this name.
inline uint64_t made_name_key(const char* path, size_t bytes) { return last_name_hash(path, bytes, 0x6d616465); }

// The part of a step's key that a shim can compute. Add program, directory and
// each argument in this order, starting from 0.
inline uint64_t short_key_add(uint64_t key, const char* text, size_t bytes) { return quick_hash(text, bytes, key + 1); }

// SipHash-1-3 of a variable's value: equal for equal values, and without the
// key nobody can try values out. (Aumasson and Bernstein, 2012.)
inline uint64_t fingerprint(const uint64_t key[2], const char* text, size_t bytes) {
  auto rotate = [](uint64_t x, int by) { return x << by | x >> (64 - by); };
  uint64_t a = key[0] ^ 0x736f6d6570736575, b = key[1] ^ 0x646f72616e646f6d;
  uint64_t c = key[0] ^ 0x6c7967656e657261, d = key[1] ^ 0x7465646279746573;
  auto round = [&] {
    a += b; b = rotate(b, 13) ^ a; a = rotate(a, 32);
    c += d; d = rotate(d, 16) ^ c;
    a += d; d = rotate(d, 21) ^ a;
    c += b; b = rotate(b, 17) ^ c; c = rotate(c, 32);
  };
  const uint64_t length = bytes;
  while (bytes >= 8) {
    uint64_t word;
    __builtin_memcpy(&word, text, 8);
    d ^= word;
    round();
    a ^= word;
    text += 8;
    bytes -= 8;
  }
  uint64_t rest = length << 56;
  for (size_t i = 0; i < bytes; ++i) rest |= static_cast<uint64_t>(static_cast<unsigned char>(text[i])) << (8 * i);
  d ^= rest;
  round();
  a ^= rest;
  c ^= 0xff;
  round();
  round();
  round();
  return a ^ b ^ c ^ d;
}

}  // namespace preload
