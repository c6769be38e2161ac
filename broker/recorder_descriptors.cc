// What a step reads from and writes to the descriptors it was given.
#include "broker/recorder.h"

#include <algorithm>

#include "broker/recorder_state.h"

namespace broker {

using namespace cache;
using namespace preload;

namespace {

constexpr std::uint64_t stream_bytes_kept_max = 4 << 20;

}  // namespace

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
    step->stream_bytes += event.text.size();
    if (step->stream_bytes > stream_bytes_kept_max) {
      step->not_storable("writes more to its standard output than is kept");
      step->streams.clear();
    } else if (!step->streams.empty() && step->streams.back().fd == same->fd) {
      step->streams.back().bytes += event.text;
    } else {
      step->streams.push_back({same->fd, std::string(event.text)});
    }
    what.fd = same->fd;
  }
}

void Recorder::handle_fd(Process& process, const Event& event) {
  FdPayload what = event.payload_as<FdPayload>();
  Step& step = *process.step;
  const FdPayload* own = step.exec.same_stream(what);
  if (event.kind == kind_fd_kind) {
    if (what.kind == fd_closed) {
      step.descriptors[static_cast<std::uint32_t>(event.arg)] |= fd_asked_kind;
      return;
    }
    if (!own) return;
    // Where standard input stands matters to who reads from it, and reading is logged.
    auto asked = static_cast<std::uint32_t>(event.result);
    if (step.policy.ignores_standard_input) asked &= ~std::uint32_t{fd_asked_position | fd_asked_access};
    if (own->fd == 0 && asked == fd_asked_exactly && step.policy.ignores_standard_input) return;
    if ((event.result & fd_asked_window) && what.kind == fd_terminal) return spoil(process, "asks for the size of the terminal");
    step.descriptors[own->fd] |= asked & (fd_asked_kind | fd_asked_exactly | fd_asked_position | fd_asked_access);
    // What it is told of a file it was given, the size say, it may use without ever reading it.
    if (own->kind == fd_regular && !own->writable && (asked & fd_asked_exactly)) {
      const auto given = std::find_if(states_.begin(), states_.end(), [&](const auto& each) {
        return each.second.digest && each.second.facts.inode == what.inode && each.second.facts.device == what.device;
      });
      if (given == states_.end()) step.not_storable("asks what a file is like that it was given");
      else if (!step.owns(given->first, event.position)) step.inherited_files.emplace(own->fd, std::pair(own->offset, *given->second.digest));
    }
    return;
  }
  if (!own) {
    if (event.kind == kind_fd_position || what.kind == fd_null) return;
    if (what.kind == fd_regular) return observe_bytes(process, paths_.intern(event.text), event.position);
    return spoil(process, "reads from a descriptor that is not recorded");
  }
  if (event.kind == kind_fd_position) {
    step.positions[own->fd] = what.offset;
    return;
  }
  // Reads from something it was given.
  switch (what.kind) {
    case fd_null: step.descriptors[own->fd] |= fd_asked_kind; return;
    case fd_regular: {
      const PathId path = paths_.intern(event.text);
      if (step.owns(path, event.position)) return;
      const auto digest = bytes_at(path, event.position, nullptr);
      if (digest) step.inherited_files.emplace(own->fd, std::pair(own->offset, *digest));
      else step.not_storable("reads a file that changed while in use");
      return;
    }
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
