#include "broker/row_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"

namespace broker {
namespace {

using cache::Fault;
using cache::Result;
using cache::fail;

constexpr std::size_t number_bytes = 4, buffer_bytes = 1 << 20;

void add_number(std::string& text, std::size_t number) {
  for (std::size_t at = 0; at < number_bytes; ++at) text += static_cast<char>(number >> 8 * at);
}

std::size_t number_at(std::string_view text) {
  std::size_t number = 0;
  for (std::size_t at = 0; at < number_bytes; ++at) number |= static_cast<std::size_t>(static_cast<unsigned char>(text[at])) << 8 * at;
  return number;
}

// A name in the directory itself, for it comes from somebody else.
Result<cache::OwnedFd> open_file(int directory, const std::string& name, int flags) {
  if (name.find('/') != name.npos) return fail(Fault::invalid, name + ": is not in the cache directory");
  cache::OwnedFd file(::openat(directory, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return fail(Fault::io, name + ": " + std::strerror(errno));
  return file;
}

}  // namespace

Result<bool> each_row(std::string_view text, const std::function<void(const cache::StepCache::Row&, const cache::StepResult*)>& visit) {
  const auto damaged = [] { return fail(Fault::corrupt, "its rows are damaged"); };
  while (!text.empty()) {
    if (text.size() < 2 * number_bytes) return damaged();
    const std::size_t key_bytes = number_at(text), value_bytes = number_at(text.substr(number_bytes));
    text.remove_prefix(2 * number_bytes);
    if (key_bytes > text.size() || value_bytes > text.size() - key_bytes) return damaged();
    const cache::StepCache::Row row(text.substr(0, key_bytes), text.substr(key_bytes, value_bytes));
    text.remove_prefix(key_bytes + value_bytes);
    std::optional<cache::StepResult> result;
    TRY(cache::StepCache::check_row(row, &result));
    visit(row, result ? &*result : nullptr);
  }
  return true;
}

bool has_contents(const cache::StepResult& result, const cache::BlobStore& blobs) {
  return std::ranges::all_of(result.changes, [&](const cache::Change& change) { return change.what != cache::Change::What::file || blobs.has(change.content); });
}

Result<bool> hand_out_rows(cache::StepCache& steps, const cache::BlobStore& blobs, int directory, const std::string& name) {
  const cache::OwnedFd file = TRY(open_file(directory, name, O_WRONLY | O_TRUNC));
  std::string text;
  int reason = 0;
  const auto write = [&] {
    if (reason == 0 && !cache::write_all(file.get(), text)) reason = errno;
    text.clear();
  };
  steps.each_row_of_steps([&](const cache::StepResult& result) { return has_contents(result, blobs); }, [&](const cache::StepCache::Row& row) {
    add_number(text, row.first.size());
    add_number(text, row.second.size());
    text.append(row.first).append(row.second);
    if (text.size() >= buffer_bytes) write();
  });
  write();
  if (reason) return fail(Fault::io, name + ": cannot be written: " + std::strerror(reason));
  return true;
}

Result<std::uint64_t> take_in_rows(cache::StepCache& steps, const cache::BlobStore& blobs, int directory, const std::string& name) {
  const cache::OwnedFd file = TRY(open_file(directory, name, O_RDONLY));
  struct stat status;
  if (::fstat(file.get(), &status) != 0 || static_cast<std::uint64_t>(status.st_size) > row_file_bytes_max) return fail(Fault::invalid, name + ": is too long");
  const std::string text = cache::read_all(file.get());
  std::vector<cache::StepCache::Row> rows;
  bool is_whole = true;
  TRY(each_row(text, [&](const cache::StepCache::Row& row, const cache::StepResult* result) {
    is_whole = is_whole && (!result || has_contents(*result, blobs));
    rows.push_back(row);
  }));
  if (!is_whole) return fail(Fault::invalid, "contents that its results name are not there");
  return steps.add_rows(rows, [&](const cache::StepResult& own) { return !has_contents(own, blobs); });
}

}  // namespace broker
