#include "broker/process_numbers.h"

#include <charconv>
#include <map>
#include <string>

namespace broker {

bool mentions_number(std::string_view text, const ProcessNumbers& numbers) {
  if (numbers.empty()) return false;
  constexpr std::string_view digits = "0123456789";
  for (std::size_t start = 0; (start = text.find_first_of(digits, start)) != text.npos;) {
    const std::size_t end = std::min(text.find_first_not_of(digits, start), text.size());
    std::int32_t number = 0;
    const auto [rest, error] = std::from_chars(text.data() + start, text.data() + end, number);
    if (error == std::errc() && numbers.contains(number)) return true;
    start = end;
  }
  return false;
}

bool shows_number(const cache::StepResult& result, const ProcessNumbers& numbers, const cache::BlobStore& blobs) {
  if (numbers.empty()) return false;
  // In pieces, with something on another descriptor in between.
  std::map<std::uint32_t, std::string> streams;
  for (const cache::StreamPiece& piece : result.streams) streams[piece.fd] += piece.bytes;
  for (const auto& [fd, text] : streams)
    if (mentions_number(text, numbers)) return true;
  for (const cache::Change& change : result.changes) {
    if (change.what == cache::Change::What::removed || change.what == cache::Change::What::attributes) continue;
    // Of the directories above it those that the step made have changes of their own.
    if (mentions_number(std::string_view(change.path).substr(change.path.rfind('/') + 1), numbers)) return true;
    if (change.what == cache::Change::What::symlink && mentions_number(change.text, numbers)) return true;
    if (change.what != cache::Change::What::file) continue;
    const auto bytes = blobs.read(change.content);
    if (!bytes || mentions_number(*bytes, numbers)) return true;
  }
  return false;
}

}  // namespace broker
