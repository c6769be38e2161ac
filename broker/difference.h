// What has become of a need since a step ran last, in words: for `vestal why`.
//
// A listing is kept as a sum over the hashes of its names, so which name is new
// follows from the difference of two sums and the names that are there today.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cache/record.h"

namespace broker {

using HashedNames = std::vector<std::pair<std::string, std::uint64_t>>;  // as View::entries() gives them

struct EntryChanges {
  std::vector<std::string> added, removed;
};
// Which names make the difference between the sums: one or two of those that are there or may have been there, or else
// all of `recent`, which are there, without all of `missing`. Nothing is found if it was something else.
EntryChanges entry_changes(std::uint64_t before, std::uint64_t now, const HashedNames& there, const HashedNames& missing, const HashedNames& recent);

// "a, b, c and 4 more"
std::string some_of(const std::vector<std::string>& names, std::size_t shown_max = 3);

// "/src/a.h has other contents". `before` and `now` are values of the need and differ; `entries` is for a listing.
std::string difference_text(const cache::NeedName& need, const std::string& before, const std::string& now, const EntryChanges& entries = {});

// How well a difference explains a miss: the least is told first. What a program was before is more than what time a file has.
int rank_of(const cache::NeedName& need, const std::string& before, const std::string& now);

}  // namespace broker
