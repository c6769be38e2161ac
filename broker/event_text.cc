#include "broker/event_text.h"

#include <algorithm>

#include <fmt/format.h>

namespace broker {
namespace {

constexpr std::size_t stream_shown = 200;

// As a word of C, so that a line is one event and its words can be told apart.
std::string quoted(std::string_view text) {
  std::string line = " \"";
  for (const char c : text) {
    if ((c >= 0 && c < ' ') || c == '"' || c == '\\' || c == 0x7f)
      line += fmt::format("\\{:03o}", c);
    else
      line += c;
  }
  return line + '"';
}

}  // namespace

std::string text_of(const Event& event) {
  static constexpr const char* names[] = {"filler",   "exec",     "exec_failed", "started", "forked",   "forked_child", "exited",  "reaped",
                                          "signalled", "look",    "fstat",       "access",  "open",     "readlink",     "list",    "chdir",
                                          "mkdir",    "rmdir",    "unlink",      "rename",  "link",     "symlink",      "chmod",   "chown",
                                          "utimens",  "truncate", "mknod",       "xattr_set", "getenv", "clock",        "random",  "number", "spoil", "altered",
                                          "stream",   "fd_kind",  "fd_read",     "fd_position", "input", "code", "mapped", "holes", "closed", "token", "preserve", "flush"};
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
  if (event.kind == preload::kind_stream) return line + fmt::format(" bytes={}", event.text.size()) + quoted(event.text.substr(0, stream_shown));
  if (event.kind == preload::kind_exec && event.payload.size() >= sizeof(preload::ExecPayload)) {
    // Program, directory and arguments; behind them are fingerprints.
    const std::size_t words = 2 + event.payload_as<preload::ExecPayload>().argument_count;
    std::string_view left = event.text;
    for (std::size_t i = 0; i < words && !left.empty(); ++i) {
      const std::size_t end = std::min(left.find('\0'), left.size());
      line += quoted(left.substr(0, end));
      left.remove_prefix(std::min(end + 1, left.size()));
    }
    return line;
  }
  if (!event.text.empty() || !event.text2.empty()) line += quoted(event.text);
  if (!event.text2.empty()) line += quoted(event.text2);
  return line;
}

}  // namespace broker
