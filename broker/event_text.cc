#include "broker/event_text.h"

#include <algorithm>

#include <fmt/format.h>

namespace broker {

std::string text_of(const Event& event) {
  static constexpr const char* names[] = {"filler",   "exec",     "exec_failed", "started", "forked",   "forked_child", "exited",  "reaped",
                                          "signalled", "look",    "fstat",       "access",  "open",     "readlink",     "list",    "chdir",
                                          "mkdir",    "rmdir",    "unlink",      "rename",  "link",     "symlink",      "chmod",   "chown",
                                          "utimens",  "truncate", "mknod",       "xattr_set", "getenv", "clock",        "random",  "spoil", "altered",
                                          "stream",   "fd_kind",  "fd_read",     "fd_position", "closed", "preserve", "flush"};
  if (event.lost) return "lost";
  const auto kind = static_cast<std::size_t>(event.kind);
  std::string line = fmt::format("{} {} {}", event.position, event.pid, kind < std::size(names) ? names[kind] : "?");
  if (event.malformed) return line + " malformed";
  line += fmt::format(" result={} arg={:#x}", event.result, event.arg);
  if (event.slot >= 0) line += " asks";
  if (event.parent_pid) line += fmt::format(" parent={}", event.parent_pid);
  if (event.kind == preload::kind_look && event.result == 0 && event.payload.size() >= sizeof(preload::StatPayload)) {
    const auto stat = event.payload_as<preload::StatPayload>();
    line += fmt::format(" mode={:o} size={} mtime={}", stat.mode, stat.size, stat.mtime_ns);
  }
  for (const std::string_view text : {event.text, event.text2}) {
    if (text.empty()) continue;
    std::string shown(text.substr(0, 200));
    std::replace_if(shown.begin(), shown.end(), [](char c) { return c >= 0 && c < ' '; }, '|');
    line += " \"" + shown + '"';
  }
  return line;
}

}  // namespace broker
