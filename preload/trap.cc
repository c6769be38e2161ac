#include "preload/trap.h"

#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#include "preload/handlers.h"
#include "preload/log_ring.h"
#include "preload/own_stacks.h"
#include "preload/policies.h"
#include "preload/vdso.h"

extern "C" {
// The shim's own text, by the linker.
extern __attribute__((visibility("hidden"))) const char __ehdr_start[];
extern __attribute__((visibility("hidden"))) const char etext[];
}

namespace preload {

extern "C" {
__attribute__((visibility("hidden"))) void vestal_on_trap();
__attribute__((visibility("hidden"))) void vestal_signal_return();
__attribute__((visibility("hidden"), noreturn)) void vestal_return_from_signal(void* context);
__attribute__((visibility("hidden"))) long vestal_clone_onto(const Call* call);
__attribute__((visibility("hidden"))) long vestal_vfork_under(const Call* call, void* context);
__attribute__((visibility("hidden"))) long vestal_dispatch_static(const Call* call);
}

namespace {

constexpr size_t mask_bytes = sizeof(uint64_t);
constexpr uint64_t shares_memory = 0x100, shares_until_exec = 0x4000;  // CLONE_VM, CLONE_VFORK

// siginfo_t of a trapped call.
struct Trap {
  int signal, error, code, gap;
  const void* behind;  // the instruction
  int number;
  uint32_t machine;
};
constexpr int by_dispatch = 2;                // SYS_USER_DISPATCH
constexpr uint32_t x86_64_machine = 0xc000003e;  // AUDIT_ARCH_X86_64

// What vestal_clone_onto takes from a child's new stack. 128 bytes more, which a function may use below its stack
// pointer, and the child's own stack pointer follows.
struct ChildFrame {
  uint64_t is_vfork;
  uint64_t registers[12];
  uint64_t flags, instruction;
};
constexpr uint64_t red_zone_bytes = 128;

// The first and the second word of clone3's structure that matter.
struct CloneArguments {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size;
  uint64_t rest[9];  // tls, and what newer kernels know
};

// The signal comes on the stack that the thread is on, below which nobody keeps anything, also if a handler of the
// program's runs while a call is served. Only for posix_spawn's child, whose stack is too small, it comes on one that it is
// given for that, and the kernel forgets that one until the handler returns, or the next signal would be laid over it. (A
// handler that is left by siglongjmp would lose it for good.)
constexpr int forgets_stack = static_cast<int>(1u << 31);  // SS_AUTODISARM

SignalAction trap_action(bool on_other_stack) {
  constexpr unsigned long with_info = 4, alternative = 0x08000000, again = 0x40000000, has_restorer = 0x04000000;
  return {reinterpret_cast<uintptr_t>(vestal_on_trap), with_info | again | has_restorer | (on_other_stack ? alternative : 0),
          reinterpret_cast<uintptr_t>(vestal_signal_return), 0};
}

uint64_t& mask_of(ucontext& context) { return *reinterpret_cast<uint64_t*>(&context.uc_sigmask); }

Call call_of(const ucontext& context) {
  const sigcontext& at = context.uc_mcontext;
  return {static_cast<long>(at.rax), {word(at.rdi), word(at.rsi), word(at.rdx), word(at.r10), word(at.r8), word(at.r9)}};
}

}  // namespace

extern "C" {

// On a child's own stack. Null if that is its parent's.
__attribute__((visibility("hidden"))) void vestal_child_begins(const ChildFrame* frame) {
  if (!trap_this_thread()) spoil(cannot_trap);
  if (!frame || !frame->is_vfork) return;
  // posix_spawn gives its child little more than a signal's frame.
  char* top = claim_stack();
  if (!top) return;
  leave_stack(top - 1);
  constexpr uint64_t bytes = 64 << 10;
  const stack_t own{top - bytes, forgets_stack, bytes};
  kernel(__NR_sigaltstack, &own, nullptr);
  const SignalAction action = trap_action(true);
  kernel(__NR_rt_sigaction, sigsys, &action, nullptr, mask_bytes);
}

// The thread that ends leaves what it is on.
__attribute__((visibility("hidden"))) char* vestal_stack_for_trap(const ucontext* context) {
  const long number = static_cast<long>(context->uc_mcontext.rax);
  return number == __NR_exit || number == __NR_rt_sigreturn ? nullptr : claim_stack();
}
}

namespace {

// ---- signals

long set_mask(const Call& call, ucontext& context) {
  Call own = call;
  uint64_t set;
  if (call.arguments[1] && call.arguments[3] == static_cast<long>(mask_bytes) && readable(call.path(1))) {
    set = *call.pointer<uint64_t>(1) & ~sigsys_bit;
    own.arguments[1] = word(&set);
  }
  const long result = native(own);
  // The end of the handler would undo it.
  kernel(__NR_rt_sigprocmask, 0, nullptr, &mask_of(context), mask_bytes);
  return result;
}

long set_action(const Call& call) {
  if (call.arguments[3] != static_cast<long>(mask_bytes)) return native(call);
  Call own = call;
  SignalAction action;
  if (call.arguments[1]) {
    if (!readable(call.path(1))) return -EFAULT;
    action = *call.pointer<SignalAction>(1);
    action.mask &= ~sigsys_bit;
    own.arguments[1] = word(&action);
  }
  if (call.integer(0) != sigsys) return native(own);
  const SignalAction before = state.own_trap_action;
  if (call.arguments[2]) {
    if (!readable(call.path(2))) return -EFAULT;
    *call.pointer<SignalAction>(2) = before;
  }
  if (call.arguments[1] && !in_vfork_child()) state.own_trap_action = action;
  return 0;
}

bool is_within(const stack_t& stack, uint64_t place) {
  const uint64_t start = reinterpret_cast<uint64_t>(stack.ss_sp);
  return stack.ss_size > 0 && place - start < stack.ss_size;
}

long set_stack(const Call& call, ucontext& context) {
  constexpr int on_stack = 1;  // SS_ONSTACK
  const bool is_on_it = is_within(context.uc_stack, context.uc_mcontext.rsp);
  if (call.arguments[0] && is_on_it) return -EPERM;
  const long result = native(call);
  if (result < 0) return result;
  if (call.arguments[1] && is_on_it) call.pointer<stack_t>(1)->ss_flags |= on_stack;
  kernel(__NR_sigaltstack, nullptr, &context.uc_stack);
  return result;
}

// ---- threads and children

uint64_t flags_of(const Call& call) {
  switch (call.number) {
    case __NR_clone: return static_cast<uint64_t>(call.arguments[0]);
    case __NR_clone3: return call.pointer<CloneArguments>(0)->flags;
    case __NR_vfork: return shares_memory | shares_until_exec;
  }
  return 0;
}

uint64_t stack_top(const Call& call, const CloneArguments* arguments) {
  return arguments ? arguments->stack + arguments->stack_size : static_cast<uint64_t>(call.arguments[1]);
}

// A child with memory of its own finds there all that is here, and so can be given its stack at the end of this signal.
long make_apart(const Call& call, ucontext& context, CloneArguments* arguments) {
  Call own = call;
  CloneArguments without_stack;
  if (arguments) {
    if (static_cast<uint64_t>(call.arguments[1]) > sizeof without_stack) return -E2BIG;
    copy(&without_stack, arguments, static_cast<uint64_t>(call.arguments[1]));
    without_stack.stack = without_stack.stack_size = 0;
    own.arguments[0] = word(&without_stack);
  } else {
    own.arguments[1] = 0;
  }
  const long result = handle_fork(own);
  if (result == 0) context.uc_mcontext.rsp = stack_top(call, arguments);
  return result;
}

// A child with a stack of its own begins on it behind the interrupted call.
long make_on_stack(const Call& call, const ucontext& context, uint64_t flags, CloneArguments* arguments) {
  const sigcontext& at = context.uc_mcontext;
  const uint64_t top = stack_top(call, arguments);
  ChildFrame* frame = reinterpret_cast<ChildFrame*>(top - red_zone_bytes) - 1;
  const bool is_vfork = flags & shares_until_exec && flags & shares_memory;
  *frame = {is_vfork,
            {at.r15, at.r14, at.r13, at.r12, at.rbp, at.rbx, at.rdi, at.rsi, at.rdx, at.r10, at.r8, at.r9},
            at.eflags,
            at.rip};
  Call own = call;
  CloneArguments with_frame;
  if (arguments) {
    uint64_t bytes = static_cast<uint64_t>(call.arguments[1]);
    if (bytes > sizeof with_frame) return -E2BIG;
    copy(&with_frame, arguments, bytes);
    with_frame.stack_size = reinterpret_cast<uint64_t>(frame) - arguments->stack;
    own.arguments[0] = word(&with_frame);
  } else {
    own.arguments[1] = word(frame);
  }
  // A handler begins with the default rounding; the child is to have its parent's.
  if (const _fpstate* registers = at.fpstate) asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(registers->mxcsr), "m"(registers->cwd));
  if (is_vfork) begin_vfork();
  const long result = vestal_clone_onto(&own);
  if (is_vfork) end_vfork();
  return result;
}

// A child that shares this very stack: what lies below the interrupted program's part, the frame of this signal, is the
// child's until it is gone.
long make_on_this_stack(const Call& call, ucontext& context) {
  constexpr uint64_t below = 256;  // return address, vestal_on_trap's own
  char* const start = reinterpret_cast<char*>(&context) - below;
  const char* end = reinterpret_cast<const char*>(&context + 1);
  if (const _fpstate* registers = context.uc_mcontext.fpstate) {
    constexpr size_t least = 512;
    const _fpx_sw_bytes& told = registers->sw_reserved;
    end = reinterpret_cast<const char*>(registers) + (told.magic1 == FP_XSTATE_MAGIC1 ? told.extended_size : least);
  }
  const uint64_t bytes = static_cast<uint64_t>(end - start);
  char* const kept = static_cast<char*>(__builtin_alloca(bytes));
  context.uc_mcontext.rax = 0;
  copy(kept, start, bytes);
  begin_vfork();
  const long result = vestal_vfork_under(&call, &context);
  end_vfork();
  copy(start, kept, bytes);
  return result;
}

long make_child(const Call& call, ucontext& context) {
  CloneArguments* arguments = call.number == __NR_clone3 ? call.pointer<CloneArguments>(0) : nullptr;
  if (call.number == __NR_clone3 && (call.arguments[1] < 64 || !readable(call.path(0)))) return native(call);
  const uint64_t flags = flags_of(call);
  const bool has_stack = arguments ? arguments->stack != 0 : call.number == __NR_clone && call.arguments[1] != 0;
  if (has_stack && !(flags & shares_memory)) return make_apart(call, context, arguments);
  if (has_stack && readable(reinterpret_cast<const char*>(stack_top(call, arguments) - 1))) return make_on_stack(call, context, flags, arguments);
  if (has_stack) return native(call);
  if (flags & shares_memory) return make_on_this_stack(call, context);
  return handle_fork(call);
}

// ---- a libc that is not the image

// Whether both lie in one libc.so.6, as the kernel lists what is mapped. Its zeroed data follow its file's part without a name.
bool are_in_libc(uint64_t place, uint64_t other) {
  const int file = static_cast<int>(kernel(__NR_open, "/proc/self/maps", O_RDONLY | O_CLOEXEC));
  if (file < 0) return false;
  constexpr size_t line_max = 4352;  // more than a path has
  char lines[2 * line_max + 1];
  size_t kept = 0;
  bool is_libc = false, has_place = false, has_other = false, found = false;
  uint64_t last_end = 0;
  for (long got; !found && (got = kernel(__NR_read, file, lines + kept, line_max)) > 0;) {
    const char* const end = lines + kept + got;
    const char* line = lines;
    for (;;) {
      const char* newline = line;
      while (newline < end && *newline != '\n') ++newline;
      if (newline == end) break;
      const char* at = line;
      const uint64_t from = take_number(at, 16);
      const uint64_t to = take_number(++at, 16);
      while (at < newline && *at != '/' && *at != '[') ++at;
      const char* name = at;
      for (const char* c = at; c < newline; ++c)
        if (*c == '/') name = c + 1;
      const size_t name_bytes = static_cast<size_t>(newline - name);
      const bool goes_on = at == newline && from == last_end;
      if (!goes_on) {
        const bool was_libc = is_libc;
        is_libc = name_bytes == sizeof "libc.so.6" - 1 && starts_with(name, "libc.so.6");
        if (!is_libc || !was_libc) has_place = has_other = false;
      }
      has_place = has_place || (is_libc && place >= from && place < to);
      has_other = has_other || (is_libc && other >= from && other < to);
      found = found || (has_place && has_other);
      last_end = to;
      line = newline + 1;
    }
    kept = static_cast<size_t>(end - line);
    if (kept > line_max) break;
    for (size_t i = 0; i < kept; ++i) lines[i] = line[i];
  }
  kernel(__NR_close, file);
  return found;
}

// malloc of glibc takes eight random bytes to mark what it has freed, and shows nobody.
bool is_for_malloc(const Call& call, const ucontext& context) {
  constexpr long mark_bytes = 8, not_blocking = 1;
  return call.number == __NR_getrandom && call.arguments[1] == mark_bytes && call.arguments[2] == not_blocking && !state.libc_start &&
         are_in_libc(context.uc_mcontext.rip, static_cast<uint64_t>(call.arguments[0]));
}

long serve(const Call& made, ucontext& context) {
  Call call = made;
  switch (call.number) {
    case __NR_rt_sigreturn:
      // The handler may have set what is blocked from then on.
      mask_of(*reinterpret_cast<ucontext*>(context.uc_mcontext.rsp)) &= ~sigsys_bit;
      vestal_return_from_signal(reinterpret_cast<void*>(context.uc_mcontext.rsp));
    case __NR_munmap:
      // musl's threads end so, and would find no stack for the signal of their `exit`. It stays until the process ends.
      if (context.uc_mcontext.rsp - static_cast<uint64_t>(call.arguments[0]) < static_cast<uint64_t>(call.arguments[1])) return 0;
      break;
    case __NR_rt_sigprocmask: return set_mask(call, context);
    case __NR_rt_sigaction: return set_action(call);
    case __NR_sigaltstack: return set_stack(call, context);
    case __NR_clone: case __NR_clone3: case __NR_fork: case __NR_vfork: return make_child(call, context);
    case __NR_prctl: {
      constexpr int dispatch = 59;  // PR_SET_SYSCALL_USER_DISPATCH
      if (call.integer(0) == dispatch) return -EINVAL;
      break;
    }
  }
  if (is_for_malloc(call, context)) return native(call);
  // The other calls that wait with a mask come by jumps as well, see wait_calls.cc.
  const OpenMask mask(call);
  return vestal_dispatch_static(&call);
}

// A call of another kind of program, by `int $0x80`.
long serve_old_call(const ucontext& context) {
  if (load(state.attached) && !seen(mix(kind_spoil, 0x80))) spoil("made a system call of 32-bit programs");
  const sigcontext& at = context.uc_mcontext;
  long result;
  asm volatile("push %%rbp\n\tmov %7, %%rbp\n\tint $0x80\n\tpop %%rbp"
               : "=a"(result)
               : "a"(at.rax), "b"(at.rbx), "c"(at.rcx), "d"(at.rdx), "S"(at.rsi), "D"(at.rdi), "r"(at.rbp)
               : "memory", "r8", "r9", "r10", "r11");
  return result;
}

}  // namespace

extern "C" __attribute__((visibility("hidden"))) void vestal_serve_trap(ucontext* context, const Trap* trap) {
  if (trap->code != by_dispatch) {
    constexpr uintptr_t ignored = 1;
    if (state.own_trap_action.handler == ignored) return;
    // A filter's, or somebody's kill: as without the shim.
    const SignalAction none{};
    kernel(__NR_rt_sigaction, sigsys, state.own_trap_action.handler ? &state.own_trap_action : &none, nullptr, mask_bytes);
    kernel(__NR_tgkill, own_pid(), kernel(__NR_gettid), sigsys);
    return;
  }
  const long result = trap->machine == x86_64_machine ? serve(call_of(*context), *context) : serve_old_call(*context);
  context->uc_mcontext.rax = static_cast<uint64_t>(result);
}

namespace {

// The program's handlers from before make calls, too.
void open_handlers() {
  constexpr int signals = 64;
  for (int signal = 1; signal <= signals; ++signal) {
    SignalAction action{};
    if (signal == sigsys || kernel(__NR_rt_sigaction, signal, nullptr, &action, mask_bytes) < 0 || !(action.mask & sigsys_bit)) continue;
    action.mask &= ~sigsys_bit;
    kernel(__NR_rt_sigaction, signal, &action, nullptr, mask_bytes);
  }
}

}  // namespace

bool trap_calls() {
  const SignalAction action = trap_action(false);
  if (!make_stacks()) return false;
  if (kernel(__NR_rt_sigaction, sigsys, &action, &state.own_trap_action, mask_bytes) < 0) return false;
  constexpr int unblock = 1;
  kernel(__NR_rt_sigprocmask, unblock, &sigsys_bit, nullptr, mask_bytes);
  state.trap_from = reinterpret_cast<uintptr_t>(__ehdr_start);
  state.trap_bytes = static_cast<uintptr_t>(etext - __ehdr_start);
  // What the kernel's own library tells without a call.
  if (trap_this_thread() && replace_vdso_calls()) return true;
  state.trap_from = 0;
  constexpr int dispatch = 59, off = 0;
  kernel(__NR_prctl, dispatch, off, 0, 0, 0);
  kernel(__NR_rt_sigaction, sigsys, &state.own_trap_action, nullptr, mask_bytes);
  return false;
}

bool trap_calls_late() {
  if (state.trap_from) return true;
  // Go's run time takes a handler on a stack of the shim's for one on a foreign thread.
  if (load(vestal_small_stacks)) return false;
  if (in_vfork_child() || !is_only_thread()) return false;
  if (!trap_calls()) return false;
  open_handlers();
  return true;
}

}  // namespace preload
