#include "crude-import/sdl_model.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "crude-import/component.h"
#include "crude-import/component_files.h"
#include "crude-import/installed_packages.h"
#include "crude-import/sdl_text.h"

namespace crude_import {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

std::string place_beside(const std::string& root) { return root + ".sdl"; }

std::string model_text(const std::string& place, const std::vector<std::string>& components,
                       const ModelOfCommand& command) {
  std::string words, variables, names;
  for (const std::string& word : command.arguments) words += (words.empty() ? "" : ", ") + text_literal(word);
  for (const auto& [name, value] : command.variables)
    variables += fmt::format("{}$({}) = {}", variables.empty() ? "" : ", ", text_literal(name), text_literal(value));
  for (const std::string& name : components) names += (names.empty() ? "" : ", ") + text_literal(name);
  const std::string directory = command.directory == "/" ? "" : command.directory.substr(1);
  return fmt::format(
      "// The root has what the command needed when it was imported: of Debian packages, and besides. The result has, in\n"
      "// `root`, what the command makes and changes.\n"
      "files besides = {0}/root;\n"
      "import components = {0}/components;\n"
      "from /vestal import std_env;\n"
      "{{\n"
      "  . = std_env([ components = components(), envVars = [ {1} ] ]);\n"
      "  . += [ root = ./build_root(< {2} >) ++ besides ];\n"
      "  platform = \"linux\";  stdin = \"\";  stdout = \"report\";  stderr = \"report\";  status = \"report_nocache\";  signal = \"report_nocache\";\n"
      "  return _run_tool(platform, < {3} >, stdin, stdout, stderr, status, signal, -1, {4}, TRUE);\n"
      "}}\n",
      text_literal(place), variables, names, words, text_literal(directory));
}

// What installed packages are called otherwise is not known any more: the file may be of one that has been removed.
Component component_of(const InstalledPackages& installed, const std::string& name, const ModelOfCommand& command) {
  Component component;
  if (const Package* const package = installed.find(name)) {
    component = crude_import::component_of(*package, installed.required(*package));
  } else {
    component.name = name;
  }
  component.contents = "Those files of the package that an imported command has needed: " + command.arguments[0];
  return component;
}

}  // namespace

Result<bool> check_model(const std::string& root, const std::string& session) {
  const std::string place = place_beside(root);
  std::error_code error;
  if (session.empty() && std::filesystem::exists(std::filesystem::symlink_status(place, error)) &&
      !std::filesystem::is_empty(place, error))
    return fail(Fault::invalid, place + ": is there, and not empty");
  return true;
}

Result<std::size_t> write_model(const std::string& root, const RootTotals& contents, const ModelOfCommand& command) {
  std::map<std::string, ComponentFiles> packages;
  ComponentFiles besides(root);
  for (const auto& [path, package] : contents.entries) {
    if (package.empty()) besides.add_real(path);
    else packages.try_emplace(package, root).first->second.add_real(path);
  }
  const std::string place = place_beside(root), components = place + "/components";
  for (const std::string& directory : {place, components})
    if (::mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST)
      return fail(Fault::io, fmt::format("{}: cannot be made: {}", directory, std::strerror(errno)));
  TRY(besides.write(place + "/root"));
  std::vector<std::string> names;
  if (!packages.empty()) {
    const InstalledPackages installed = TRY(InstalledPackages::read());
    for (const auto& [name, files] : packages) {
      const Component component = component_of(installed, name, command);
      TRY(write_component(components, component, files));
      names.push_back(component.name);
    }
  }
  TRY(write_component_list(components));
  const std::string file = root + ".ves";
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << model_text(std::filesystem::path(place).filename().string(), names, command);
  if (!out.flush()) return fail(Fault::io, fmt::format("{}: cannot be written: {}", file, std::strerror(errno)));
  return names.size();
}

}  // namespace crude_import
