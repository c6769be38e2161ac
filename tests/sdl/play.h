// Models from texts, without a disk.
#pragma once

#include <atomic>
#include <map>
#include <string>

#include "sdl/deep_stack.h"
#include "sdl/evaluator.h"
#include "sdl/model.h"
#include "sdl/printer.h"

namespace sdl_test {

class TextInMemory final : public sdl::StoredText {
 public:
  TextInMemory(std::string path, std::string bytes, bool is_executable)
      : path_(std::move(path)), bytes_(std::move(bytes)), is_executable_(is_executable) {}
  cache::Result<std::string_view> bytes() const override { return std::string_view(bytes_); }
  bool is_executable() const override { return is_executable_; }
  std::string name() const override { return path_; }

 private:
  const std::string path_, bytes_;
  const bool is_executable_;
};

// Files by their paths; what stands before a slash is a directory.
class FilesInMemory final : public sdl::ModelFiles {
 public:
  std::map<std::string, std::string> files;

  cache::Result<Type> type(const std::string& path) override {
    if (files.contains(path)) return Type::file;
    const auto below = files.lower_bound(path + "/");
    return below != files.end() && below->first.starts_with(path + "/") ? Type::directory : Type::missing;
  }
  cache::Result<std::shared_ptr<const sdl::StoredText>> file(const std::string& path) override {
    return std::make_shared<TextInMemory>(path, files.at(path), path.ends_with(".sh"));
  }
  cache::Result<std::vector<std::string>> names(const std::string& directory) override {
    std::vector<std::string> names;
    for (const auto& [path, bytes] : files) {
      if (!path.starts_with(directory + "/")) continue;
      const std::string rest = path.substr(directory.size() + 1);
      const std::string name = rest.substr(0, rest.find('/'));
      if (names.empty() || names.back() != name) names.push_back(name);
    }
    return names;
  }
  cache::Result<std::string> target(const std::string& link) override {
    return cache::fail(cache::Fault::invalid, link);
  }
};

// Evaluates /main.ves. `result` is what `--result` prints; empty after an error, which `error` tells then.
struct Play {
  FilesInMemory files;
  sdl::Limits limits;
  unsigned more_threads = 0;  // for `_par_map`
  std::string result, printed, error, warnings;

  Play& run(const std::string& model) {
    files.files["/main.ves"] = model;
    sdl::on_deep_stack([&] {
      sdl::ModelLoader models(files);
      sdl::NoToolRunner tools;
      sdl::Host host{models, tools, [&](std::string_view text) { printed += text; },
                     [&](const sdl::Diagnostic& each) { warnings += each.text(); }, limits};
      std::atomic<unsigned> idle_threads = more_threads;
      if (more_threads > 0) host.idle_threads = &idle_threads;
      sdl::Evaluation evaluation(host);
      const sdl::Value value = evaluation.run(models.model("/main.ves"), sdl::BindingBuilder().finish());
      for (const sdl::Diagnostic& each : evaluation.diagnostics()) error += each.text();
      if (!value.is_stopped()) result = sdl::printed(value);
    });
    return *this;
  }
};

inline std::string result_of(const std::string& model) {
  Play play;
  play.run(model);
  return play.error.empty() ? play.result : play.error;
}

inline std::string error_of(const std::string& model) { return Play().run(model).error; }

}  // namespace sdl_test
