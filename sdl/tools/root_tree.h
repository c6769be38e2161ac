// `./root` as a tree, and what a tool has changed as a binding. Spec: 8.1, 8.4.
//
//   text            file, 0644 or 0755
//   binding         directory
//   list of a text  symbolic link
//   model           file with its text
//   integer         device; only below dev, where a tool finds the usual ones in any case
//
// Anything else has no place in a tree, which is an error that names it.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/tools/directories.h"
#include "sdl/value.h"

namespace sdl {

class RootTrees {
 public:
  explicit RootTrees(Directories& directories) : directories_(directories) {}

  // Not writable: nobody may write to files that are there, though they may be removed (spec 8.1,
  // existing_writable). A binding that has been made a tree before is not looked through again. Any thread.
  cache::Result<cache::Digest> tree_of(const Value& root, bool writable);

 private:
  cache::Result<broker::tree::Subdirectory> directory_of(std::string name, const Value& binding,
                                                         bool writable, const std::string& path);
  cache::Result<broker::tree::File> file_of(std::string name, const Value& text, bool writable);

  Directories& directories_;
  struct Known {
    Value binding;  // so that its address is nobody else's
    broker::tree::Subdirectory directory[2];
    bool is_made[2] = {false, false};
  };
  std::mutex mutex_;
  std::unordered_map<const Object*, Known> known_;
};

// What `to` has otherwise than `from`: texts, bindings and links that are new or changed, FALSE for what is
// gone; names in the order of their bytes.
cache::Result<Value> changes_between(Directories& directories, const cache::Digest& from,
                                     const cache::Digest& to);

// Whether the store has all contents that this names.
bool are_changes_stored(Directories& directories, const cache::Digest& from, const cache::Digest& to);

}  // namespace sdl
