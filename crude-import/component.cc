#include "crude-import/component.h"

#include <errno.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "crude-import/sdl_text.h"

namespace crude_import {
namespace {

namespace files = std::filesystem;
using cache::fail;
using cache::Fault;
using cache::Result;

// Whether it was another text, or not there.
Result<bool> write_text(const std::string& path, const std::string& text) {
  {
    std::ifstream old(path, std::ios::binary);
    if (old && std::string(std::istreambuf_iterator<char>(old), {}) == text) return false;
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  if (!file.flush()) return fail(Fault::io, fmt::format("{}: cannot be written: {}", path, std::strerror(errno)));
  return true;
}

std::string list_of(const std::vector<std::string>& names) {
  if (names.empty()) return "<>";
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + text_literal(name);
  return "< " + text + " >";
}

std::string record_text(const Component& component) {
  return fmt::format(
      "// An OS component: the Debian package {0}.\n"
      "import root = root.ves;\n"
      "{{\n"
      "  record = [\n"
      "    root,\n"
      "    name = {1},\n"
      "    version = {2},\n"
      "    arch = {3},\n"
      "    kind = \"deb\",\n"
      "    requires = {4},\n"
      "    provides = {5},\n"
      "  ];\n"
      "  return [ {1} = record ];\n"
      "}}\n",
      component.name, text_literal(component.name), text_literal(component.version), text_literal(component.architecture),
      list_of(component.required), list_of(component.provided));
}

constexpr const char* root_text =
    "// The part of a root filesystem that this component is. It is called with ./components as its environment, so\n"
    "// that it could take files from another one.\n"
    "files root;\n"
    "{\n"
    "  return root;\n"
    "}\n";

std::string readme_text(const Component& component, const ComponentFiles& contents) {
  std::string text = fmt::format(
      "{} {} ({}), a Debian package as a component for `vestal build`.\n\n"
      "{}\n\n"
      "build.ves returns its record, root.ves its files, which are in root.\n",
      component.name, component.version, component.architecture, component.contents);
  if (!component.required.empty()) {
    text += "\nIt depends on:\n";
    for (const std::string& name : component.required) text += "  " + name + "\n";
  }
  if (!contents.left_out().empty()) {
    text += "\nNot in it:\n";
    for (const ComponentFiles::LeftOut& each : contents.left_out())
      text += fmt::format("  {}: {}\n", each.path, each.reason);
  }
  return text;
}

bool is_component(const files::path& directory) {
  std::error_code error;
  return files::is_regular_file(directory / "build.ves", error) && files::is_regular_file(directory / "root.ves", error);
}

}  // namespace

Component component_of(const Package& package, const std::vector<const Package*>& required) {
  Component component;
  component.name = package.name;
  component.version = package.version;
  component.architecture = package.architecture;
  for (const Package* const other : required) component.required.push_back(other->name);
  component.provided = package.provides;
  return component;
}

Result<ComponentTotals> write_component(const std::string& directory, const Component& component,
                                        const ComponentFiles& contents) {
  const std::string place = directory + "/" + component.name;
  std::error_code error;
  if (files::exists(files::symlink_status(place, error)) && !is_component(place) && !files::is_empty(place, error))
    return fail(Fault::invalid, place + ": is there, and no component");
  if (::mkdir(place.c_str(), 0777) != 0 && errno != EEXIST)
    return fail(Fault::io, fmt::format("{}: cannot be made: {}", place, std::strerror(errno)));
  // First, so that what is killed on the way is a component to the next run.
  bool is_changed = TRY(write_text(place + "/root.ves", root_text));
  is_changed |= TRY(write_text(place + "/build.ves", record_text(component)));
  ComponentTotals totals{TRY(contents.write(place + "/root")), false};
  is_changed |= TRY(write_text(place + "/README", readme_text(component, contents)));
  totals.is_changed = is_changed || totals.changed > 0;
  return totals;
}

Result<std::vector<std::string>> components_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (files::directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
    if (is_component(at->path())) names.push_back(at->path().filename().string());
  if (error) return fail(Fault::io, directory + ": " + error.message());
  std::ranges::sort(names);
  return names;
}

Result<bool> write_component_list(const std::string& directory) {
  std::string imports;
  for (const std::string& name : TRY(components_in(directory)))
    imports += fmt::format("  {0} = {0},\n", text_literal(name));
  return write_text(directory + "/build.ves",
                    "// The components in this directory, by name. `vestal component add` writes this file.\n"
                    "import models = [\n" +
                        imports +
                        "];\n"
                        "{\n"
                        "  components = [];\n"
                        "  foreach [ name = model ] in models do components = _append(components, model());\n"
                        "  return components;\n"
                        "}\n");
}

bool is_documentation(const std::string& path) {
  constexpr std::string_view share = "/usr/share/";
  if (!path.starts_with(share)) return false;
  const std::string_view rest = std::string_view(path).substr(share.size());
  const std::string_view name = rest.substr(0, rest.find('/'));
  constexpr std::string_view places[] = {"doc", "doc-base", "gtk-doc", "help", "info", "lintian", "locale", "man"};
  return std::ranges::find(places, name) != std::end(places);
}

}  // namespace crude_import
