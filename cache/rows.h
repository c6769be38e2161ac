// Rows by their keys, for what is asked for by name and may be forgotten: results of calls.
//
// A row that is damaged is none. Any thread may use it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cache/base/result.h"

namespace cache {

class Rows {
 public:
  virtual ~Rows() = default;
  virtual std::optional<std::string> get(std::string_view key) = 0;
  // That it could not be written costs doing it again.
  virtual void put(std::string_view key, std::string_view row) = 0;
};

// In a LevelDB of their own; one process at a time.
class DiskRows final : public Rows {
 public:
  // Makes the directory. Rows that are damaged, or take more than `bytes_max`, are all removed and begun anew. Fault::io: another process
  // has it, or nothing can be written.
  static Result<std::unique_ptr<DiskRows>> open(const std::string& directory, std::uint64_t bytes_max);
  ~DiskRows() override;

  std::optional<std::string> get(std::string_view key) override;
  void put(std::string_view key, std::string_view row) override;

 private:
  struct State;
  explicit DiskRows(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cache
