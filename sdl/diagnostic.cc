#include "sdl/diagnostic.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

namespace sdl {
namespace {

constexpr std::size_t shown_bytes_max = 160;

// What stands below the line up to the caret: as wide, whatever a tab is.
std::string indent_like(std::string_view before) {
  std::string indent;
  for (const char byte : before) {
    if (byte == '\t') indent += '\t';
    // The later bytes of a character take no room of their own.
    else if ((byte & 0xc0) != 0x80)
      indent += ' ';
  }
  return indent;
}

}  // namespace

void Diagnostic::add_call(std::string function, const Source& source, std::uint32_t offset) {
  if (calls.size() == calls_max) {
    ++calls_left_out;
    return;
  }
  calls.push_back({std::move(function), source.path(), source.position(offset)});
}

std::string Diagnostic::text() const {
  const char* const word = severity == Severity::error ? "error" : "warning";
  if (path.empty()) return fmt::format("{}: {}\n", word, message);
  std::string text = fmt::format("{}:{}:{}: {}: {}\n{}\n{}^\n", path, at.line, at.column, word, message, line,
                                 indent_like(std::string_view(line).substr(0, caret)));
  for (const Call& call : calls)
    text +=
        fmt::format("  in {}, called at {}:{}:{}\n", call.function, call.path, call.at.line, call.at.column);
  if (calls_left_out) text += fmt::format("  and {} calls more\n", calls_left_out);
  return text;
}

Diagnostic diagnose(Severity severity, const Source& source, std::uint32_t offset, std::string message) {
  Diagnostic diagnostic;
  diagnostic.severity = severity;
  diagnostic.path = source.path();
  diagnostic.at = source.position(offset);
  diagnostic.message = std::move(message);
  const std::string_view line = source.line(diagnostic.at.line);
  const std::size_t before = std::min<std::size_t>(diagnostic.at.column - 1, line.size());
  const std::size_t first = before > shown_bytes_max / 2 ? before - shown_bytes_max / 2 : 0;
  diagnostic.line = line.substr(first, shown_bytes_max);
  // What moves a terminal's cursor is not repeated.
  for (char& byte : diagnostic.line)
    if ((static_cast<unsigned char>(byte) < 0x20 && byte != '\t') || byte == 0x7f) byte = '?';
  diagnostic.caret = static_cast<unsigned>(before - first);
  return diagnostic;
}

void tell(Diagnostic diagnostic) {
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string() + "/";
  const auto shorten = [&](std::string& path) {
    if (!error && path.starts_with(here)) path.erase(0, here.size());
  };
  shorten(diagnostic.path);
  for (Diagnostic::Call& call : diagnostic.calls) shorten(call.path);
  std::fputs(diagnostic.text().c_str(), stderr);
}

}  // namespace sdl
