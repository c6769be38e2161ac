// What a step reads from and writes to the descriptors it was given.
#include "broker/recorder.h"

#include <algorithm>

#include "broker/recorder_state.h"

namespace broker {

using namespace cache;
using namespace preload;

// ---- descriptors ---------------------------------------------------------------------------------------------------------

void Recorder::handle_stream(Process& process, const Event& event) {
  FdPayload what = event.payload_as<FdPayload>();
  if (what.kind == fd_null) {
    // Nobody gets the bytes; that holds only as long as there is nobody.
    for (Step* step = process.step; step; step = step->parent) {
      bool was_given_it = false;
      for (const FdPayload& fd : step->exec.fds) {
        if (fd.fd == 0 || fd.kind != fd_null) continue;
        step->descriptors[fd.fd] |= fd_asked_kind;
        was_given_it = true;
      }
      if (!was_given_it) return;
    }
    return;
  }
  if (!process.step->exec.same_stream(what)) {
    // A child made by vfork has descriptors of its parent's making. Any other was given one beyond those recorded.
    if (event.parent_pid == 0) spoil(process, "writes to a descriptor that is not recorded");
    return;
  }
  for (Step* step = process.step; step; step = step->parent) {
    const FdPayload* same = step->exec.same_stream(what);
    if (!same) return;
    step->descriptors[same->fd] |= fd_asked_sharing;
    step->add_stream(same->fd, event.text);
    what.fd = same->fd;
  }
}

// What a program reads as the text it is to run, as far as anybody can tell. It must be what the program has read: not changed
// since, and not gone.
std::optional<std::string> Recorder::text_read(Process& process, PathId path, Position at) {
  constexpr std::uint64_t bytes_max = 16 << 20;
  const std::string& name = paths_.text(path);
  const char* problem = nullptr;
  std::optional<std::string> text;
  if (touched_later(path, at)) problem = "reads a text that was changed while in use";
  else if (parts_.view->look(name).bytes > bytes_max) problem = "reads a text that is too long to look through";
  else if (!(text = text_of_file(name))) problem = "reads a text that is gone by now";
  if (problem) spoil(process, problem);
  return text;
}

// A file that an interpreter opens, or a shell reads itself, and may run.
void Recorder::look_through(Process& process, PathId path, Position at) {
  Step& step = *process.step;
  const std::string& name = paths_.text(path);
  if (step.policy.is_shell && !step.tells_input) look_through_shell_text(process, path, at);
  if (step.policy.is_perl) {
    const auto text = text_read(process, path, at);
    if (text && perl_text_varies(*text)) spoil(process, "reads a text that may ask when the program began");
  }
  // The library that comes with Python measures how long to wait for something.
  if (step.policy.is_python && !name.starts_with(python_library)) {
    const auto text = text_read(process, path, at);
    if (text && options_.policies.clock == clock_real && python_text_measures(*text)) spoil(process, "reads a text that may measure time");
    // Who looks at the times of a directory is no more Python alone, which wants to know whether to list it again.
    if (text && python_text_asks_of_input(*text) && step.exec.fd(0)) step.descriptors[0] |= fd_asked_exactly;
    if (text && python_text_asks_for_times(*text)) step.policy.ignores_listed_directory_times = false;
  }
}

void Recorder::look_through_shell_text(Process& process, PathId path, Position at, std::string_view told) {
  Step& step = *process.step;
  // libc reads of the kernel what a program may ask it for.
  if (step.file == path || place_of(paths_.text(path)) != Place::ordinary) return;
  const auto text = told.empty() ? text_read(process, path, at) : std::string(told);
  if (!text) return;
  constexpr std::size_t names_max = 1000;
  if (step.policy.environment == EnvironmentUse::shell && !step.whole_environment) {
    need_names_in(step, *text);
    if (step.variables.size() > names_max) step.whole_environment = true;
  }
  if (shell_text_varies(without_chosen_variables(*text, options_.policies))) spoil(process, "reads a text that asks for a process id, the clock or random numbers");
  if (shell_text_compares_times(*text) && !(step.policy.stat_aspects & aspect_times)) spoil(process, "reads a text that compares times of files");
}

// What a shell reads itself; it has not run it yet.
void Recorder::handle_input(Process& process, const Event& event) {
  Step& step = *process.step;
  if (event.arg == input_is_file) {
    if (step.policy.is_shell) look_through_shell_text(process, paths_.intern(event.text), event.position, event.text2);
    return;
  }
  if (!step.runs_input) return;
  constexpr std::size_t word_max = 40;  // what stands across two pieces
  step.text.erase(0, step.text.size() - std::min(step.text.size(), word_max));
  step.text += event.text;
  if (shell_text_varies(without_chosen_variables(step.text, options_.policies))) spoil(process, "runs a text that asks for a process id, the clock or random numbers");
  if (shell_text_compares_times(step.text)) {
    step.policy.stat_aspects = look_aspects;
    step.policy.ignores_fstat = false;
  }
  if (event.arg == input_is_last_piece) spoil(process, "runs a long text that is not known beforehand");
}

// The size is as good as the contents, which are a need in any case.
constexpr std::uint32_t asked_by_fstat = aspect_mode | aspect_links | aspect_times;

// The contents of a file that the step was given are a need by the descriptor's number; with it what fstat tells.
namespace {

// What a file is like that the step was given is not known any more: neither is it to those who have passed the descriptor
// on, nor, under its name, to who has opened it and all around.
void keep_none(Step& step, const FdPayload& given, const char* reason) {
  for (Step* each = &step; each; each = each->parent) {
    if (!each->exec.same_stream(given)) return each->spoil(reason);
    each->not_storable(reason);
  }
}

}  // namespace

void Recorder::note_inherited(Step& step, const FdPayload& given, PathId path, Position at, std::uint64_t inode, std::uint32_t aspects) {
  if (step.owns(path, at)) return;
  PathFacts facts;
  const auto digest = bytes_at(path, at, &facts);
  const auto [place, fresh] = step.inherited_files.try_emplace(given.fd, InheritedFile{given.offset, digest.value_or(Digest{}), 0, facts, path, at});
  InheritedFile& file = place->second;
  const bool is_same = fresh || (digest && file.contents == *digest && value_of(aspects | file.aspects, file.facts, {}) == value_of(aspects | file.aspects, facts, {}));
  file.aspects |= aspects;
  if (digest && facts.inode == inode && is_same) return;
  constexpr const char* reason = "reads a file that changed while in use";
  if (aspects != 0) keep_none(step, given, reason);
  else step.not_storable(reason);
}

void Recorder::handle_fd(Process& process, const Event& event) {
  FdPayload what = event.payload_as<FdPayload>();
  Step& step = *process.step;
  const FdPayload* own = step.exec.same_stream(what);
  if (event.kind == kind_fd_kind) {
    if (what.kind == fd_closed) {
      step.descriptors[static_cast<std::uint32_t>(event.arg)] |= fd_asked_terminal;
      return;
    }
    if (!own) return;
    auto asked = static_cast<std::uint32_t>(event.result);
    // What it is told of a file it was given, the size say, it may use without ever reading it.
    const bool is_told = own->kind == fd_regular && !own->writable && (asked & fd_asked_exactly) && !(asked & fd_asked_position);
    const std::uint32_t told = is_told && !step.policy.ignores_fstat ? step.policy.stat_aspects & asked_by_fstat : 0;
    const bool is_ignored = own->fd == 0 && step.policy.ignores_standard_input;
    if (is_told && (told != 0 || !is_ignored)) {
      const auto given = std::find_if(states_.begin(), states_.end(), [&](const auto& each) {
        return each.second.digest && each.second.facts.inode == what.inode && each.second.facts.device == what.device;
      });
      if (given == states_.end()) keep_none(step, *own, "asks what a file is like that it was given");
      else note_inherited(step, *own, given->first, event.position, what.inode, told);
    }
    // Where standard input stands matters to who reads from it, and reading is logged.
    const bool is_output = own->fd == 1 || own->fd == 2;
    if (own->fd == 0 ? step.policy.ignores_standard_input : is_output && step.policy.ignores_standard_output) {
      if (own->fd == 0 && asked == fd_asked_exactly) return;
      asked &= ~std::uint32_t{fd_asked_position | fd_asked_access};
      if (is_output && asked & fd_asked_exactly) asked = (asked & ~std::uint32_t{fd_asked_exactly}) | fd_asked_kind;
    }
    if ((event.result & fd_asked_window) && what.kind == fd_terminal && what.offset != own->offset)
      return spoil(process, "asks for the size of a terminal that had another one when it began");
    step.descriptors[own->fd] |= asked & (fd_asked_kind | fd_asked_exactly | fd_asked_window | fd_asked_position | fd_asked_access | fd_asked_terminal | fd_asked_again);
    return;
  }
  if (!own) {
    if (event.kind == kind_fd_position || what.kind == fd_null) return;
    if (what.kind == fd_regular) return observe_bytes(process, paths_.intern(event.text), event.position);
    return spoil(process, "reads from a descriptor that is not recorded");
  }
  if (event.kind == kind_fd_position) {
    process.unplaced.erase(event.arg);
    step.positions[own->fd] = what.offset;
    return;
  }
  // Reads from something it was given.
  switch (what.kind) {
    case fd_null: step.descriptors[own->fd] |= fd_asked_kind; return;
    case fd_regular:
      if (event.parent_pid == 0 && event.arg2 != 0) process.unplaced.insert(event.arg);
      return note_inherited(step, *own, paths_.intern(event.text), event.position, what.inode);
    case fd_random:
      if (options_.policies.random != random_real) {
        step.descriptors[own->fd] |= fd_asked_exactly;
        return;
      }
      [[fallthrough]];
    default: {
      const char* kind = what.kind == fd_terminal ? "reads from the terminal" : what.kind == fd_pipe ? "reads from a pipe it was given" : "reads from a descriptor it was given";
      for (Step* each = &step; each && each->exec.same_stream(what); each = each->parent) each->not_storable(kind);
      return;
    }
  }
}

}  // namespace broker
