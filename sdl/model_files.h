// Where models and the files they name come from. Spec: 5.3.
//
// Paths are absolute, without "." and ".." and without a delimiter at the end; the
// root is "". Nothing follows a symbolic link in the last place of a path, and who
// asks goes through a path part by part. What a path stands for is taken not to
// change while models are evaluated. Any thread may ask.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/text.h"

namespace sdl {

class ModelFiles {
 public:
  enum class Type { missing, file, directory, link, other };

  virtual ~ModelFiles() = default;
  virtual cache::Result<Type> type(const std::string& path) = 0;
  virtual cache::Result<std::shared_ptr<const StoredText>> file(const std::string& path) = 0;
  virtual cache::Result<std::vector<std::string>> names(
      const std::string& directory) = 0;  // by their bytes, in order
  virtual cache::Result<std::string> target(const std::string& link) = 0;
  // A digest of all that is below a directory; nothing: it is not known.
  virtual std::optional<cache::Digest> tree(const std::string& directory) {
    static_cast<void>(directory);
    return std::nullopt;
  }
  // The same of all that absolute paths may lead to, where these files say what that is.
  virtual std::optional<cache::Digest> absolute_trees() { return std::nullopt; }
};

// The file system as it is.
class DiskFiles final : public ModelFiles {
 public:
  cache::Result<Type> type(const std::string& path) override;
  cache::Result<std::shared_ptr<const StoredText>> file(const std::string& path) override;
  cache::Result<std::vector<std::string>> names(const std::string& directory) override;
  cache::Result<std::string> target(const std::string& link) override;
};

}  // namespace sdl
