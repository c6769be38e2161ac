// OS components: Debian packages as models of the System Description Language.
//
//   DIR/build.ves           all components in DIR, a binding by name
//   DIR/NAME/build.ves      [ NAME = record ]: root, name, version, arch, requires, provides
//   DIR/NAME/root.ves       the record's root, a function: the files
//   DIR/NAME/root/          the files, copies
//   DIR/NAME/README         what it is and what is not in it, for a human
//
// Nothing in it names a place of the machine. Writing one again changes only what is otherwise.
#pragma once

#include <string>
#include <vector>

#include "cache/base/result.h"
#include "crude-import/component_files.h"
#include "crude-import/installed_packages.h"

namespace crude_import {

struct Component {
  std::string name, version, architecture;
  std::vector<std::string> required, provided;
  std::string contents;  // a sentence for the README: which of the package's files these are
};

// Component::required are the names of what InstalledPackages::required tells.
Component component_of(const Package& package, const std::vector<const Package*>& required);

struct ComponentTotals : ComponentFiles::Totals {
  bool is_changed = false;  // anything of the component
};
// Fault::invalid: DIR/NAME is there and no component.
cache::Result<ComponentTotals> write_component(const std::string& directory, const Component& component,
                                               const ComponentFiles& files);

// Names of the components in a directory, in order.
cache::Result<std::vector<std::string>> components_in(const std::string& directory);
// DIR/build.ves, of those that are there.
cache::Result<bool> write_component_list(const std::string& directory);

// Of what is documentation or a translation, which a tool does not need to work.
bool is_documentation(const std::string& path);

}  // namespace crude_import
