#include "crude-import/sdl_model.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"

namespace crude_import {
namespace {

// A text of the language: printable ASCII as it is, all else as three octal digits.
std::string quoted(std::string_view text) {
  std::string made = "\"";
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') made += {'\\', letter};
    else if (byte < ' ' || byte >= 0x7f) made += fmt::format("\\{:03o}", byte);
    else made += letter;
  }
  return made + "\"";
}

}  // namespace

std::string model_text(const ModelOfCommand& command) {
  std::string words, variables;
  for (const std::string& word : command.arguments) words += (words.empty() ? "" : ", ") + quoted(word);
  for (const auto& [name, value] : command.variables) variables += fmt::format("{}$({}) = {}", variables.empty() ? "" : ", ", quoted(name), quoted(value));
  const std::string directory = command.directory == "/" ? "" : command.directory.substr(1);
  return fmt::format(
      "// The root has what the command needed when it was imported. Its result has, in `root`, what the command\n"
      "// makes and changes.\n"
      "files root = {};\n"
      "{{\n"
      "  . = [ root, envVars = [ {} ] ];\n"
      "  platform = \"linux\";  stdin = \"\";  stdout = \"report\";  stderr = \"report\";  status = \"report_nocache\";  signal = \"report_nocache\";\n"
      "  return _run_tool(platform, < {} >, stdin, stdout, stderr, status, signal, -1, {}, TRUE);\n"
      "}}\n",
      quoted(command.root), variables, words, quoted(directory));
}

cache::Result<bool> write_model(const ModelOfCommand& command, const std::string& file) {
  const cache::OwnedFd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!out || !cache::write_all(out.get(), model_text(command))) return cache::fail(cache::Fault::io, fmt::format("{}: {}", file, std::strerror(errno)));
  return true;
}

}  // namespace crude_import
