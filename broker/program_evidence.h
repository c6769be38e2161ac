// What a finding about a program rests on: files with the contents they had,
// names that did not exist, and where symlinks led.
//
// A finding stands as long as still_holds() says so. A file that only got
// another time, or was replaced by a copy of itself, still has the same contents
// and does not count as changed; one with other permissions does.
//
// Not for use by several threads at once, except to read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/view.h"
#include "cache/base/result.h"
#include "cache/digest.h"
#include "cache/sealed_bytes.h"

namespace broker {

class ProgramEvidence {
 public:
  struct File {
    std::string path;  // as spelled; symlinks are followed
    PathFacts facts;
    cache::Digest digest;
    bool has_capabilities = false;
    // It had not been changed for so long when it was hashed that its facts vouch for its contents.
    bool settled = false;
  };
  struct Resolution {
    std::string path, real_path;
  };

  ProgramEvidence();

  // Looks at the file and hashes it. A path given twice is looked at once.
  cache::Result<File> add_file(const View& view, const std::string& path);
  // A file whose existence alone decides something; it may be absent.
  void add_file_or_absence(const View& view, const std::string& path);
  void add_absence(const std::string& path);
  cache::Result<std::string> add_resolution(const std::string& path);
  // Something was seen that none of these can express: the finding is good for the moment only.
  void does_not_last() { lasts_ = false; }

  // Whether the finding may be kept for others: everything is settled, so nothing can have changed unseen.
  bool lasts() const;
  // Nothing has been touched since it was looked at. With lasts() it says as much as still_holds(), and is
  // cheaper.
  bool is_untouched() const;
  // Only for a finding that lasted when it was made: before that, nobody knows which of its contents a file
  // had when it was looked into. Brings facts up to date where the contents are still the same, and says so
  // in `updated`.
  bool still_holds(const View& view, bool* updated);

  const File* file(const std::string& path) const;
  const std::vector<File>& files() const { return files_; }
  const std::vector<std::string>& absences() const { return absences_; }
  // Every path whose change can mean that still_holds() is no longer true, directories on the way included.
  std::vector<std::string> watched_paths() const;

  void encode(cache::SealedWriter& writer) const;
  static ProgramEvidence decode(cache::SealedReader& reader);

 private:
  bool names_are_the_same() const;

  std::vector<File> files_;
  std::vector<std::string> absences_;
  std::vector<Resolution> resolutions_;
  std::int64_t began_ns_;
  bool lasts_ = true;
};

// What stat says, symlinks followed.
PathFacts look_through(const std::string& path);
// The path with every symlink resolved.
cache::Result<std::string> real_path_of(const std::string& path);

}  // namespace broker
