#include "broker/staging_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include <fmt/format.h>

namespace broker {
namespace {

constexpr std::size_t journal_bytes_max = 1 << 20;
constexpr std::size_t id_digits = 8;

bool is_private_name(const std::string& name, std::string_view id) {
  constexpr std::string_view start = ".vestal-";
  return name.size() == start.size() + 2 * id_digits && name.starts_with(start) && std::string_view(name).substr(start.size(), id_digits) == id;
}

}  // namespace

StagingJournal::StagingJournal(const std::string& cache_directory)
    : id_(std::random_device()()),
      file_(::open((cache_directory + "/staging").c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600)) {
  struct stat info;
  if (!file_ || ::fstat(file_.get(), &info) != 0 || info.st_size <= 0) return;
  std::string journal(std::min(static_cast<std::size_t>(info.st_size), journal_bytes_max), '\0');
  const ssize_t bytes = ::pread(file_.get(), journal.data(), journal.size(), 0);
  clean(std::string_view(journal).substr(0, bytes > 0 ? static_cast<std::size_t>(bytes) : 0));
  [[maybe_unused]] const int emptied = ::ftruncate(file_.get(), 0);
}

void StagingJournal::clean(std::string_view journal) {
  for (std::size_t end; (end = journal.find('\0')) != journal.npos; journal.remove_prefix(end + 1)) {
    const std::string_view line = journal.substr(0, end);
    if (line.size() < id_digits + 2 || line[id_digits] != ' ' || line[id_digits + 1] != '/') continue;
    std::error_code problem;
    const std::filesystem::path directory(line.substr(id_digits + 1));
    for (auto each = std::filesystem::directory_iterator(directory, problem); !problem && each != std::filesystem::end(each); each.increment(problem))
      if (is_private_name(each->path().filename(), line.substr(0, id_digits))) ::unlink(each->path().c_str());
  }
}

void StagingJournal::begin() {
  const std::lock_guard lock(mutex_);
  ++under_way_;
}

void StagingJournal::note(const std::string& directory) {
  std::string line = fmt::format("{:08x} {}", id_, directory);
  line += '\0';
  const std::lock_guard lock(mutex_);
  is_empty_ = false;
  if (file_) [[maybe_unused]] const ssize_t written = ::write(file_.get(), line.data(), line.size());
}

void StagingJournal::end() {
  const std::lock_guard lock(mutex_);
  if (--under_way_ > 0 || is_empty_) return;
  is_empty_ = true;
  if (file_) [[maybe_unused]] const int emptied = ::ftruncate(file_.get(), 0);
}

}  // namespace broker
