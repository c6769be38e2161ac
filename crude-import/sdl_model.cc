#include "crude-import/sdl_model.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "crude-import/sdl_text.h"

namespace crude_import {

std::string model_text(const ModelOfCommand& command) {
  std::string words, variables;
  for (const std::string& word : command.arguments) words += (words.empty() ? "" : ", ") + text_literal(word);
  for (const auto& [name, value] : command.variables) variables += fmt::format("{}$({}) = {}", variables.empty() ? "" : ", ", text_literal(name), text_literal(value));
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
      text_literal(command.root), variables, words, text_literal(directory));
}

cache::Result<bool> write_model(const ModelOfCommand& command, const std::string& file) {
  const cache::OwnedFd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!out || !cache::write_all(out.get(), model_text(command))) return cache::fail(cache::Fault::io, fmt::format("{}: {}", file, std::strerror(errno)));
  return true;
}

}  // namespace crude_import
