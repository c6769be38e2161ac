// Whether the result of a step tells the number of a process.
//
// Many programs ask for their number and few show it: they send themselves a
// signal, look whether they lead a group, or have forked. So to have asked is
// no reason to run each time. But a result with the number in it, in decimal,
// is not the same next time.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>

#include "cache/blob_store.h"
#include "cache/record.h"

namespace broker {

using ProcessNumbers = std::set<std::int32_t>;

// One of these stands in it, between anything but digits.
bool mentions_number(std::string_view text, const ProcessNumbers& numbers);

// It stands in what the step has written, to files or descriptors, or in the name of something it made. Contents that
// cannot be read any more, or are longer than 64 MiB, count as if it did.
bool shows_number(const cache::StepResult& result, const ProcessNumbers& numbers, const cache::BlobStore& blobs);

}  // namespace broker
