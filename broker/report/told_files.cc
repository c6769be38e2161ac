#include "broker/report/told_files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "broker/client.h"
#include "broker/report/page.h"
#include "broker/report/trace.h"
#include "cache/base/whole_io.h"

namespace broker::report {
namespace {

using cache::OwnedFd;
using cache::Result;

OwnedFd open_file(const std::string& path) {
  return OwnedFd(away_from_standard(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666)));
}

Result<OwnedFd> open_for(const char* option, const std::string& path) {
  if (path.empty()) return OwnedFd();
  OwnedFd file = open_file(path);
  if (!file) return cache::fail(cache::Fault::io, std::string(option) + " " + path + ": " + std::strerror(errno));
  return file;
}

void put(const char* option, const std::string& path, const OwnedFd& opened, const std::string& text) {
  // The command may have removed it, with the directory that it makes anew.
  struct stat info {};
  OwnedFd made;
  if (::fstat(opened.get(), &info) == 0 && info.st_nlink == 0) made = open_file(path);
  const int file = made ? made.get() : opened.get();
  // The command is over; how it ended must not be changed by a reader that has gone or a limit on the size of files.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  // What is no file has no length either.
  const bool is_empty = !S_ISREG(info.st_mode) || ::ftruncate(file, 0) == 0;
  if (!is_empty || !cache::write_all(file, text)) complain(std::string(option) + " " + path + ": " + std::strerror(errno));
}

}  // namespace

Result<ToldFiles> ToldFiles::open(const Paths& paths) {
  ToldFiles files;
  files.paths_ = paths;
  files.trace_ = TRY(open_for("--trace", paths.trace));
  files.page_ = TRY(open_for("--report", paths.page));
  return files;
}

void ToldFiles::write(const std::string& report) const {
  const Timeline timeline = Timeline::of(report);
  if (trace_) put("--trace", paths_.trace, trace_, trace_text(timeline));
  if (page_) put("--report", paths_.page, page_, page_text(timeline));
}

}  // namespace broker::report
