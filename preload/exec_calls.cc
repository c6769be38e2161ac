// Becoming another program: the step is logged, the broker may be asked, and
// the program is started so that it is traced or is not started at all.
//
// Everything here also runs in children made by vfork, on a stack of some 30
// KiB at least, and must leave nothing behind in the memory they share.
#include "preload/exec.h"

#include <asm/poll.h>

#include "preload/ask.h"
#include "preload/descriptors.h"
#include "preload/env_guard.h"
#include "preload/handlers.h"
#include "preload/jobserver.h"
#include "preload/leave.h"
#include "preload/paths.h"
#include "preload/policies.h"

namespace preload {
namespace {

// What of a variable list would not fit on the stack.
constexpr size_t variables_max_on_small_stack = 1500;
constexpr size_t variables_max = 32000;

// Bytes without the final zero, or -errno.
__attribute__((noinline)) long measure_directory() {
  char name[PATH_MAX];
  const long bytes = kernel(__NR_getcwd, name, sizeof name);
  if (bytes < 0) return bytes;
  return name[0] == '/' ? bytes - 1 : -ENOENT;
}

// A program named by a descriptor: bytes of its path, or -errno.
__attribute__((noinline)) long measure_target(int fd) {
  char name[PATH_MAX];
  return descriptor_target(fd, name, sizeof name);
}

constexpr char own_program[] = "/proc/self/exe";

// The same of the program that this process runs.
__attribute__((noinline)) long measure_own_program() {
  if (state.own_file) return static_cast<long>(state.own_file_bytes);
  char name[PATH_MAX];
  return kernel(__NR_readlink, own_program, name, sizeof name);
}

size_t name_length(const char* variable) {
  size_t bytes = 0;
  while (variable[bytes] && variable[bytes] != '=') ++bytes;
  return bytes;
}

// The environment for the program, taken apart.
struct Variables {
  char* const* list;
  size_t count = 0;
  size_t name_bytes = 0;
  const char* preload = nullptr;  // values
  const char* library_path = nullptr;
  size_t preload_at = 0;
  JobserverPipe jobserver;
  bool tells_of_libraries = false;  // then ld.so shows what it loads

  explicit Variables(char* const* environment) : list(environment) {
    if (list == nullptr) return;
    for (; list[count]; ++count) {
      const char* variable = list[count];
      name_bytes += name_length(variable);
      if (variable[0] == 'L' && starts_with(variable, "LD_PRELOAD="))
        preload = variable + 11, preload_at = count;
      if (variable[0] == 'L' && starts_with(variable, "LD_LIBRARY_PATH=")) library_path = variable + 16;
      if (variable[0] == 'L' && variable[1] == 'D' && variable[2] == '_')
        tells_of_libraries = tells_of_libraries || starts_with(variable, "LD_TRACE_LOADED_OBJECTS=") || starts_with(variable, "LD_DEBUG=") ||
                             starts_with(variable, "LD_SHOW_AUXV=") || starts_with(variable, "LD_PROFILE=") || starts_with(variable, "LD_AUDIT=");
      if (variable[0] == 'M' && starts_with(variable, "MAKEFLAGS="))
        jobserver = parse_jobserver(variable + 10);
    }
  }
};

struct Arguments {
  char* const* list;
  size_t count = 0;
  size_t bytes = 0;  // with the zeros

  explicit Arguments(char* const* arguments) : list(arguments) {
    if (list == nullptr) return;
    for (; list[count]; ++count) bytes += length_of(list[count]) + 1;
  }
};

struct Program {
  const char* path;
  size_t path_bytes;
  const char* directory;
  size_t directory_bytes;
};

uint64_t short_key(const Program& program, const Arguments& arguments) {
  uint64_t key = short_key_add(0, program.path, program.path_bytes);
  key = short_key_add(key, program.directory, program.directory_bytes);
  for (size_t i = 0; i < arguments.count; ++i)
    key = short_key_add(key, arguments.list[i], length_of(arguments.list[i]));
  return key;
}

const Plan* plans() { return reinterpret_cast<const Plan*>(state.region + plans_at); }

// The text at `offset`, or an empty one if there cannot be one.
const char* region_text(uint32_t offset) {
  return offset >= texts_at && offset < texts_at + texts_bytes ? state.region + offset : "";
}

// A copy of the plan for exactly this file, if there is one.
bool find_plan(const Program& program, const Variables& variables, const struct stat& info, Plan& plan) {
  const char* library_path = variables.library_path ? variables.library_path : "";
  const uint64_t key = plan_key(program.path, program.path_bytes, library_path, length_of(library_path));
  for (uint32_t i = 0; i < plan_count; ++i) {
    const Plan& entry = plans()[(key + i) % plan_count];
    const uint64_t found = load(entry.key);
    if (found == 0) return false;
    if (found != key) continue;
    plan = entry;
    const int64_t mtime_ns =
        static_cast<int64_t>(info.st_mtime) * 1000000000 + static_cast<int64_t>(info.st_mtime_nsec);
    return load(entry.key) == key && plan.device == info.st_dev && plan.inode == info.st_ino &&
           plan.size == static_cast<uint64_t>(info.st_size) && plan.mtime_ns == mtime_ns;
  }
  return false;
}

void describe_descriptor(ExecPayload& payload, const Variables& variables, int fd) {
  const long flags = kernel(__NR_fcntl, fd, F_GETFD);
  if (flags < 0 || flags & FD_CLOEXEC) return;
  FdPayload place;
  struct stat info;
  if (!describe(fd, place, info)) return;
  const bool named = fd == variables.jobserver.read_fd || fd == variables.jobserver.write_fd;
  if (fd > 2 && place.kind == fd_pipe && (named || examined_class(fd) == fd_jobserver)) return;
  if (payload.fd_count == inherited_fd_max) {
    payload.flags |= exec_foreign_fds;
    return;
  }
  // One file opened twice has two positions, and which one is read from, or written to, cannot be told.
  for (uint32_t i = 0; i < payload.fd_count; ++i) {
    const FdPayload& other = payload.fds[i];
    const bool apart = place.kind == fd_regular && other.inode == place.inode && other.device == place.device &&
                       !(place.writable == O_WRONLY && other.writable == O_WRONLY && place.appends && other.appends);
    const long pid = apart ? kernel(__NR_getpid) : 0;
    constexpr int kcmp_file = 0;
    if (apart && kernel(__NR_kcmp, pid, pid, kcmp_file, fd, other.fd) != 0) payload.flags |= exec_foreign_fds;
  }
  payload.fds[payload.fd_count++] = place;
}

void describe_descriptors(ExecPayload& payload, const Variables& variables) {
  constexpr uint32_t far_count = inherited_fd_end - inherited_fd_max;
  for (int fd = 0; fd < static_cast<int>(inherited_fd_max); ++fd) describe_descriptor(payload, variables, fd);
  // Mostly there are no others, and one call tells.
  struct pollfd far[far_count];
  for (uint32_t i = 0; i < far_count; ++i) far[i] = {static_cast<int>(inherited_fd_max + i), 0, 0};
  if (kernel(__NR_poll, far, far_count, 0) == far_count) {
    bool all_closed = true;
    for (const pollfd& each : far) all_closed = all_closed && each.revents == POLLNVAL;
    if (all_closed) return;
  }
  for (const pollfd& each : far)
    if (!(each.revents & POLLNVAL)) describe_descriptor(payload, variables, each.fd);
}

uint32_t current_umask() {
  if (!in_vfork_child()) return load(state.umask);
  const long mask = kernel(__NR_umask, 0);
  kernel(__NR_umask, mask);
  return static_cast<uint32_t>(mask);
}

// Those that a program ignores or blocks from its beginning. Nobody leaves signals of his own (from 32 on) ignored.
void describe_signals(ExecPayload& payload) {
  constexpr int last_signal = 31;
  constexpr uint64_t ignoring_handler = 1;
  for (int signal = 1; signal <= last_signal; ++signal) {
    uint64_t action[4] = {};  // the handler comes first
    kernel(__NR_rt_sigaction, signal, nullptr, action, sizeof payload.ignored_signals);
    if (action[0] == ignoring_handler) payload.ignored_signals |= uint64_t{1} << (signal - 1);
  }
  kernel(__NR_rt_sigprocmask, 0, nullptr, &payload.blocked_signals, sizeof payload.blocked_signals);
}

void describe_groups(ExecPayload& payload, int pid) {
  payload.session_id = static_cast<int32_t>(kernel(__NR_getsid, 0));
  if (payload.session_id == pid) payload.flags |= exec_leads_session;
  if (kernel(__NR_getpgid, 0) == pid) payload.flags |= exec_leads_group;
}

int64_t today_ns() {
  long now[2] = {0, 0};
  kernel(__NR_clock_gettime, 0 /* CLOCK_REALTIME */, now);
  return static_cast<int64_t>(now[0]) * 1000000000 + now[1];
}

// Writes kind_exec. False: the session is gone.
bool log_exec(const Program& program, const Arguments& arguments, const Variables& variables,
              ExecPayload& payload, uint16_t slot, int pid) {
  uint64_t text_bytes = program.path_bytes + program.directory_bytes + 2;
  const char* library_path = variables.library_path;
  const uint64_t all_bytes = text_bytes + arguments.bytes + variables.name_bytes +
                             variables.count * (sizeof(uint64_t) + 1) +
                             (library_path ? length_of(library_path) + 1 : 0);
  const bool fits =
      sizeof(RecordHead) + sizeof payload + all_bytes <= uint64_t{record_units_max} * unit_bytes;
  if (fits) text_bytes = all_bytes;
  constexpr uint64_t text_at = sizeof(RecordHead) + sizeof payload;
  LogWriter writer;
  if (!writer.reserve(text_at + text_bytes)) return false;
  writer.seek(text_at);
  // If another thread changes these texts meanwhile they may turn out longer.
  bool whole = writer.put(program.path, program.path_bytes + 1) &&
               writer.put(program.directory, program.directory_bytes + 1);
  const uint64_t names_end = writer.offset();
  if (fits) {
    for (size_t i = 0; whole && i < arguments.count; ++i)
      whole = writer.put(arguments.list[i], length_of(arguments.list[i]) + 1);
    for (size_t i = 0; whole && i < variables.count; ++i) {
      const char* variable = variables.list[i];
      const size_t name_bytes = name_length(variable);
      const char* value = variable + name_bytes;
      if (*value) ++value;
      const uint64_t print = fingerprint(header().fingerprint_key, value, length_of(value));
      whole = writer.put(&print, sizeof print) && writer.put(variable, name_bytes) && writer.put("", 1);
    }
    if (whole && library_path) {
      whole = writer.put(library_path, length_of(library_path) + 1);
      payload.flags |= exec_has_library_path;
    }
  }
  payload.argument_count = static_cast<uint32_t>(arguments.count);
  payload.variable_count = static_cast<uint32_t>(variables.count);
  if (!fits || !whole) {
    payload.flags = (payload.flags | exec_too_big) & ~exec_has_library_path;
    payload.argument_count = payload.variable_count = 0;
  }
  RecordHead head{};
  sign(head);
  head.pid = pid;
  head.kind = kind_exec;
  head.slot = slot;
  head.payload_bytes = sizeof payload;
  head.text_bytes = static_cast<uint32_t>((fits && whole ? writer.offset() : names_end) - text_at);
  writer.seek(sizeof head);
  writer.put(&payload, sizeof payload);
  writer.commit(head);
  return true;
}

long execute_with(const ExecRequest& request, char* const* environment) {
  if (request.number == __NR_execve) return kernel(__NR_execve, request.path, request.arguments, environment);
  return kernel(__NR_execveat, request.directory, request.path, request.arguments, environment,
                request.flags);
}

void note_failure(const ExecRequest& request, long result, const struct stat* info) {
  if (request.flags & AT_EMPTY_PATH && request.path[0] == 0) return;
  const NamedPath named(request.directory, request.path);
  if (!named.ok) return;
  LogRecord record;
  record.kind = kind_look;
  record.result = static_cast<int>(result);
  record.text = named.text;
  if (!info) {
    if (!named.repeats(mix(kind_look << 8, static_cast<uint64_t>(result)))) append(record);
    return;
  }
  StatPayload payload;
  fill_stat(payload, *info);
  append(record, payload);
}

size_t variable_limit() {
  return in_vfork_child() || load(vestal_small_stacks) ? variables_max_on_small_stack : variables_max;
}

// What a copy is told of the program in whose place it runs.
struct Original {
  const char* file;
  const char* executed;  // as spelled
  size_t bytes() const { return length_of(file) + length_of(executed) + 32; }
  void put(TextWriter& writer) const {
    writer.put_number(length_of(file));
    writer.put(":");
    writer.put(file);
    writer.put(":");
    writer.put(executed);
  }
};

// VESTAL_REGION for the program to be started.
size_t region_entry_bytes(const Original* original = nullptr) {
  return sizeof region_variable + length_of(region_text(header().region_name)) + 64 + (original ? original->bytes() : 0);
}
char* region_entry(void* place, const Plan& plan, uint32_t umask, uint64_t random_start, const Original* original = nullptr) {
  char* entry = static_cast<char*>(place);
  TextWriter own(entry);
  own.put(region_variable);
  own.put(region_text(header().region_name));
  own.put(":");
  own.put_number(umask, 8);
  own.put(":");
  own.put_number(plan.flags, 16);
  own.put(":");
  own.put_number(random_start, 16);
  if (original) own.put(":"), original->put(own);
  own.end();
  return entry;
}

// What was executed, as a script's interpreter is told.
size_t spell(char* place, const ExecRequest& request) {
  TextWriter writer(place);
  if (request.directory != AT_FDCWD && request.path[0] != '/') {
    writer.put("/dev/fd/");
    writer.put_number(static_cast<uint64_t>(request.directory));
    if (request.path[0]) writer.put("/");
  }
  writer.put(request.path);
  writer.end();
  return writer.bytes();
}

// Starts the program with the shim in it. Returns only if that fails.
long execute_traced(const ExecRequest& request, const Variables& variables, const Plan& plan,
                    uint32_t umask, uint64_t random_start) {
  const RegionHeader& region = header();
  const char* shim = region_text(region.shim_path);
  const char* closure = region_text(plan.preload);
  // Of a copy two lines stand in front of that.
  const char* copied = nullptr;
  Original original{};
  if (plan.flags & plan_copy) {
    const size_t bytes = length_of(closure);
    char* lines = static_cast<char*>(__builtin_alloca(bytes + 1));
    copy(lines, closure, bytes + 1);
    const auto take_line = [&] {
      char* const line = lines;
      while (*lines && *lines != '\n') ++lines;
      if (*lines) *lines++ = 0;
      return line;
    };
    copied = take_line();
    original.file = take_line();
    closure = lines;
    char* executed = static_cast<char*>(__builtin_alloca(length_of(request.path) + 32));
    spell(executed, request);
    original.executed = executed;
  }
  const Original* const told = copied ? &original : nullptr;
  const char* user = variables.preload;

  char* preload = static_cast<char*>(
      __builtin_alloca(length_of(shim) + (user ? length_of(user) : 0) + length_of(closure) + 16));
  TextWriter text(preload);
  text.put("LD_PRELOAD=");
  // What the user puts before libc's functions stands before the shim's as well; its constructor is first in any case.
  if (user && *user) text.put(user), text.put(":");
  text.put(shim);
  if (*closure) text.put(":"), text.put(closure);
  text.end();

  char* ours = region_entry(__builtin_alloca(region_entry_bytes(told)), plan, umask, random_start, told);

  // Always two more entries: the constructor in shim_start.cc relies on that.
  const char** list = static_cast<const char**>(__builtin_alloca((variables.count + 3) * sizeof(char*)));
  copy(list, variables.list, variables.count * sizeof(char*));
  size_t count = variables.count;
  if (!user) {
    list[count++] = preload;
    list[count++] = ours;
  } else {
    const char* original = variables.list[variables.preload_at];
    const size_t start = sizeof user_preload_variable - 1, bytes = length_of(original);
    char* kept = static_cast<char*>(__builtin_alloca(start + bytes + 1));
    copy(kept, user_preload_variable, start);
    copy(kept + start, original, bytes + 1);
    list[variables.preload_at] = preload;
    list[count++] = ours;
    list[count++] = kept;
  }
  list[count] = nullptr;
  if (copied) return kernel(__NR_execve, copied, request.arguments, list);
  return execute_with(request, const_cast<char* const*>(list));
}

// Starts the image of a static program, or of a script's static interpreter, as the kernel would start that itself.
// Returns only if that fails.
long execute_static(const ExecRequest& request, const Arguments& arguments, const Variables& variables,
                    const Plan& plan, uint32_t umask, uint64_t random_start) {
  const char* text = region_text(plan.preload);
  const size_t text_bytes = length_of(text);
  char* lines = static_cast<char*>(__builtin_alloca(text_bytes + 1));
  copy(lines, text, text_bytes + 1);
  size_t line_count = 1;
  for (size_t i = 0; i < text_bytes; ++i)
    if (lines[i] == '\n') lines[i] = 0, ++line_count;
  if (line_count < 2) return -ENOENT;
  const char* file = lines + length_of(lines) + 1;
  char* executed = static_cast<char*>(__builtin_alloca(length_of(request.path) + 32));
  spell(executed, request);

  const size_t prefix_count = line_count - 2;
  char* const* argument_list = arguments.list;
  if (prefix_count) {
    const char** list = static_cast<const char**>(__builtin_alloca((prefix_count + arguments.count + 2) * sizeof(char*)));
    size_t count = 0;
    const char* line = file;
    for (size_t i = 0; i < prefix_count; ++i) list[count++] = line += length_of(line) + 1;
    list[count++] = executed;
    for (size_t i = 1; i < arguments.count; ++i) list[count++] = arguments.list[i];
    list[count] = nullptr;
    argument_list = const_cast<char* const*>(list);
  }

  const Original original{file, executed};
  char* program = static_cast<char*>(__builtin_alloca(sizeof program_variable + original.bytes()));
  TextWriter what(program);
  what.put(program_variable);
  original.put(what);
  what.end();

  // take_variables() in static_start.cc relies on the order.
  const char** list = static_cast<const char**>(__builtin_alloca((variables.count + 3) * sizeof(char*)));
  copy(list, variables.list, variables.count * sizeof(char*));
  list[variables.count] = program;
  list[variables.count + 1] = region_entry(__builtin_alloca(region_entry_bytes()), plan, umask, random_start);
  list[variables.count + 2] = nullptr;
  return kernel(__NR_execve, lines, argument_list, list);
}

// Whether the kernel would let this user execute the file. An image is always this user's own.
bool may_execute(const ExecRequest& request) {
  constexpr int executable = 1, effective_ids = 0x200;  // X_OK, AT_EACCESS
  const int flags = request.flags & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
  return kernel(__NR_faccessat2, request.directory, request.path, executable, effective_ids | flags) >= 0;
}

long start_program(const ExecRequest& request, const Arguments& arguments, const Variables& variables,
                   const Plan& plan, uint32_t umask, uint64_t random_start) {
  LogRecord failed;
  failed.kind = kind_exec_failed;
  long result;
  if (plan.flags & plan_static && may_execute(request)) {
    result = variables.count + arguments.count <= variable_limit() ? execute_static(request, arguments, variables, plan, umask, random_start) : -E2BIG;
    failed.result = static_cast<int>(result);
    append(failed);
    spoil("could not run vestal's copy of a static program");
  } else if (plan.flags & plan_copy && may_execute(request)) {
    result = variables.count <= variable_limit() ? execute_traced(request, variables, plan, umask, random_start) : -E2BIG;
    failed.result = static_cast<int>(result);
    append(failed);
    spoil("could not run vestal's copy of a program");
  } else if (!(plan.flags & (plan_untraced | plan_static | plan_copy))) {
    const bool fits = variables.count <= variable_limit();
    result = fits ? execute_traced(request, variables, plan, umask, random_start) : -E2BIG;
    if (result != -E2BIG) {
      failed.result = static_cast<int>(result);
      append(failed);
      return result;
    }
    // Without vestal's own variables it may well fit.
    failed.result = -E2BIG;
    append(failed);
    spoil("has arguments and an environment that leave no room for vestal's");
  }
  result = execute_with(request, request.environment);
  failed.result = static_cast<int>(result);
  append(failed);
  return result;
}

// Where the path is written that the program is known by: as it was given, behind the working directory, or
// what the descriptor leads to. `place` is large enough.
size_t absolute_path(char* place, const ExecRequest& request, const char* directory, size_t directory_bytes) {
  TextWriter writer(place);
  const char* path = request.path;
  if (path[0] != '/') {
    writer.put(directory, directory_bytes);
    while (path[0] == '.' && path[1] == '/') {
      path += 2;
      while (path[0] == '/') ++path;
    }
    if (path[0] && directory_bytes != 1) writer.put("/");
  }
  writer.put(path);
  writer.end();
  return writer.bytes();
}

}  // namespace

namespace {

// Puts the name of this process's own program for /proc/self/exe, which means another one to everybody who looks, and
// what is known of its file. False: it has no name any more.
bool name_own_program(char* place, size_t bytes, struct stat& info) {
  if (state.own_file)
    copy(place, state.own_file, bytes);
  else if (kernel(__NR_readlink, own_program, place, bytes) != static_cast<long>(bytes))
    return false;
  place[bytes] = 0;
  struct stat named;
  if (stat_at(AT_FDCWD, place, named, 0) < 0) return false;
  // An image runs in place of its program.
  if (!state.own_file && (named.st_dev != info.st_dev || named.st_ino != info.st_ino)) return false;
  info = named;
  return true;
}

}  // namespace

long execute(const ExecRequest& given) {
  // The texts that the new program gets are read here, and by the kernel; that is not looking at them.
  ExecRequest request = given;
  if (state.guard_bytes && given.environment) {
    size_t count = 0;
    while (given.environment[count]) ++count;
    if (count <= variable_limit()) {
      char** list = static_cast<char**>(__builtin_alloca((count + 1) * sizeof(char*)));
      for (size_t i = 0; i <= count; ++i) list[i] = unguarded(given.environment[i]);
      request.environment = list;
    }
  }
  struct stat info;
  const long looked =
      stat_at(request.directory, request.path, info, request.flags & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
  if (looked == -EFAULT || looked == -EINVAL) return execute_with(request, request.environment);
  if (looked < 0) {
    note_failure(request, looked, nullptr);
    return looked;
  }
  if ((info.st_mode & S_IFMT) != S_IFREG || (info.st_mode & 0111) == 0) {
    note_failure(request, 0, &info);
    return execute_with(request, request.environment);
  }

  // The directory that a relative path counts from.
  ExecPayload payload{};
  char short_directory[256];
  char* own_directory = short_directory;
  long own_bytes = kernel(__NR_getcwd, own_directory, sizeof short_directory) - 1;
  if (own_bytes == -ERANGE - 1) {
    own_bytes = measure_directory();
    if (own_bytes > 0) {
      own_directory = static_cast<char*>(__builtin_alloca(static_cast<size_t>(own_bytes) + 1));
      if (kernel(__NR_getcwd, own_directory, own_bytes + 1) != own_bytes + 1) own_bytes = -ENOENT;
    }
  }
  if (own_bytes <= 0 || own_directory[0] != '/') {
    payload.flags |= exec_too_big;
    own_directory = short_directory;
    own_directory[0] = '/';
    own_directory[own_bytes = 1] = 0;
  }
  const char* directory = own_directory;
  size_t directory_bytes = static_cast<size_t>(own_bytes);
  const bool by_descriptor = request.path[0] != '/' && request.directory != AT_FDCWD;
  if (by_descriptor) {
    const long bytes = measure_target(request.directory);
    char* place = static_cast<char*>(__builtin_alloca(bytes > 0 ? static_cast<size_t>(bytes) + 1 : 1));
    if (bytes <= 0 || descriptor_target(request.directory, place, static_cast<size_t>(bytes)) != bytes ||
        place[0] != '/') {
      spoil("executed a program without a name");
      return execute_with(request, request.environment);
    }
    place[bytes] = 0;
    directory = place;
    directory_bytes = static_cast<size_t>(bytes);
  }
  char* path = static_cast<char*>(__builtin_alloca(directory_bytes + length_of(request.path) + 2));
  size_t path_bytes = absolute_path(path, request, directory, directory_bytes);
  if (equal(path, own_program)) {
    const long bytes = measure_own_program();
    char* place = static_cast<char*>(__builtin_alloca(bytes > 0 ? static_cast<size_t>(bytes) + 1 : 1));
    if (bytes > 0 && name_own_program(place, static_cast<size_t>(bytes), info))
      path = place, path_bytes = static_cast<size_t>(bytes);
  }
  if (starts_with(path, "/memfd:") || named_descriptor(path) >= 0) {
    spoil("executed a program without a name");
    return execute_with(request, request.environment);
  }

  const Program program{path, path_bytes, own_directory, static_cast<size_t>(own_bytes)};
  const Arguments arguments(request.arguments);
  const Variables variables(request.environment);
  if (variables.tells_of_libraries) {
    spoil("had ld.so tell what it does");
    return execute_with(request, request.environment);
  }
  const int pid = own_pid();
  payload.umask = current_umask();
  payload.short_key = short_key(program, arguments);
  if (header().policies.random != random_real) payload.random_start = random_start_of(payload.short_key);
  payload.parent_pid = state.parent_pid;
  if (pid != state.pid) {
    payload.parent_pid = static_cast<int32_t>(kernel(__NR_getppid));
    if (load(vestal_vfork_depth) == 0) payload.flags |= exec_unknown_parent;
  }
  if (variables.preload) payload.flags |= exec_has_preload;
  describe_descriptors(payload, variables);
  describe_signals(payload);
  describe_groups(payload, pid);
  payload.when_ns = today_ns();

  Plan plan{};
  const bool planned = find_plan(program, variables, info, plan);
  const bool worth_asking = !(header().session_flags & session_fresh) && is_known(payload.short_key);
  const bool asks = !planned || worth_asking;
  Question question;
  if (asks && !question.claim()) return execute_with(request, request.environment);
  const uint32_t umask = payload.umask;
  // The next record tells that this program is left, or comes back.
  note_environment();
  if (!log_exec(program, arguments, variables, payload, asks ? question.number() : 0, pid))
    return execute_with(request, request.environment);
  if (asks) {
    if (!question.wait()) return execute_with(request, request.environment);
    const Slot& answer = question.answer();
    if (answer.verdict == verdict_leave) leave_as(answer);
    const uint32_t index = answer.plan;
    if (index < plan_count)
      plan = plans()[index];
    else
      plan = Plan{}, plan.flags = plan_untraced;
    question.release();
  }
  // Somebody may have deleted the cache: ld.so would complain on the program's standard error.
  // Where there is no libc, it has no image.
  const char* const image = region_text(header().libc_image_path);
  const bool there = !image[0] || kernel(__NR_access, image, 4 /* R_OK */) == 0;
  if (!there) plan = Plan{}, plan.flags = plan_untraced;
  return start_program(request, arguments, variables, plan, umask, payload.random_start);
}

long handle_exec(const Call& call) {
  if (call.number == __NR_execve)
    return execute(
        {call.number, AT_FDCWD, call.path(0), call.pointer<char* const>(1), call.pointer<char* const>(2), 0});
  return execute({call.number, call.fd(0), call.path(1), call.pointer<char* const>(2),
                  call.pointer<char* const>(3), call.integer(4)});
}

}  // namespace preload
