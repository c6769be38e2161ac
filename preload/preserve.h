// Before contents are destroyed, the broker may have to catch up; see "pending
// contents" in protocol.h.
#pragma once

#include "preload/paths.h"

#pragma GCC visibility push(hidden)

namespace preload {

// What `path` names now is about to lose its contents or its name.
void before_loss(int directory, const char* path, int stat_flags);
// Or only a part of its contents.
void before_cut(const char* path);
// `path` is about to become something else, whether there is anything now or not: look-ups that found it
// missing may lead somewhere afterwards.
void before_change(int directory, const char* path);

// A file is about to be opened.
class BeforeWrite {
 public:
  BeforeWrite(int directory, const char* path, uint64_t flags);
  // Its contents are now of this process's own making, or the broker has seen what was there before.
  void succeeded(const NamedPath& named) const;

  bool existed = false;  // a regular file
  bool has_other_names = false;
  bool writes = false;
};

}  // namespace preload

#pragma GCC visibility pop
