// Models from texts, without a disk.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "sdl/access.h"
#include "sdl/call_cache.h"
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
  std::optional<Summary> summary() const override { return Summary{cache::digest_of(bytes_), bytes_.size()}; }

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
  std::optional<cache::Digest> tree(const std::string& directory) override {
    cache::Hasher hasher;
    for (const auto& [path, bytes] : files) {
      if (!path.starts_with(directory + "/")) continue;
      hasher.add_piece(path);
      hasher.add_piece(bytes);
    }
    return hasher.finish();
  }
};

class RowsInMemory final : public cache::Rows {
 public:
  std::optional<std::string> get(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    const auto row = rows.find(std::string(key));
    return row == rows.end() ? std::nullopt : std::optional(row->second);
  }
  void put(std::string_view key, std::string_view row) override {
    const std::lock_guard lock(mutex_);
    rows[std::string(key)] = row;
  }
  std::map<std::string, std::string> rows;

 private:
  std::mutex mutex_;
};

// Texts that tools have made, by their digests.
class TextsInMemory final : public sdl::TextStore {
 public:
  sdl::Value add(const std::string& name, const std::string& bytes) {
    const std::lock_guard lock(mutex_);
    texts[cache::digest_of(bytes)] = bytes;
    return sdl::make_stored_text(std::make_shared<TextInMemory>(name, bytes, name.ends_with(".sh")));
  }
  sdl::Value text(const sdl::StoredText::Summary& summary, bool is_executable, const std::string& name) override {
    const std::lock_guard lock(mutex_);
    const auto known = texts.find(summary.digest);
    if (known == texts.end()) return sdl::Value();
    return sdl::make_stored_text(std::make_shared<TextInMemory>(name, known->second, is_executable));
  }
  std::map<cache::Digest, std::string> texts;

 private:
  std::mutex mutex_;
};

// What is kept of calls from one evaluation to the next.
struct Kept {
  RowsInMemory rows;
  TextsInMemory texts;
};

// A tool's output is its command, with all of `./root` and `./envVars`, and it makes a file of that. One that is
// called "volatile" may not be kept, one that is called "false" fails.
class ToolsInMemory final : public sdl::ToolRunner {
 public:
  explicit ToolsInMemory(TextsInMemory& texts) : texts_(texts) {}
  cache::Result<sdl::ToolRun> run(std::span<const sdl::Value> arguments, const sdl::Value& dot) override {
    const std::string command = sdl::printed(arguments[1], {.verbose = true});
    if (!dot.is_binding() || !sdl::defined(dot, sdl::make_text("root"))) return cache::fail(cache::Fault::invalid, "there is no ./root");
    const std::string all = command + sdl::printed(sdl::select(dot, "root"), {.verbose = true});
    if (command.find("false") != command.npos) return cache::fail(cache::Fault::unsupported, command + " failed");
    const bool is_volatile = command.find("volatile") != command.npos;
    ++runs;
    volatile_runs += is_volatile;
    sdl::BindingBuilder root(1), result(2);
    root.add(sdl::make_text("out"), texts_.add("out", all));
    result.add(sdl::make_text("code"), sdl::Value::integer(static_cast<std::int32_t>(all.size())));
    result.add(sdl::make_text("root"), root.finish());
    return sdl::ToolRun{result.finish(), !is_volatile};
  }
  std::atomic<unsigned> runs = 0, volatile_runs = 0;

 private:
  TextsInMemory& texts_;
};

// Evaluates /main.ves. `result` is what `--result` prints; empty after an error, which `error` tells then.
struct Play {
  FilesInMemory files;
  sdl::Limits limits;
  unsigned more_threads = 0;  // for `_par_map`
  Kept* kept = nullptr;       // set: calls are cached
  bool has_tools = false;
  bool caches_functions = true;
  std::uint64_t worth_keeping = 0;
  const sdl::Value* dot_value = nullptr;  // null: an empty binding
  std::string result, printed, error, warnings;
  bool shows_all = false;  // in `result` contents of files and functions, too
  std::vector<std::string> trace;
  unsigned tools_run = 0, volatile_tools_run = 0;

  Play& run(const std::string& model) {
    files.files["/main.ves"] = model;
    return run();
  }
  Play& run() {
    result = printed = error = warnings = "";
    trace.clear();
    sdl::on_deep_stack([&] {
      sdl::ModelLoader models(files);
      TextsInMemory own_texts;
      ToolsInMemory tools_in_memory(kept ? kept->texts : own_texts);
      sdl::NoToolRunner no_tools;
      sdl::ToolRunner& tools = has_tools ? static_cast<sdl::ToolRunner&>(tools_in_memory) : no_tools;
      sdl::Host host{models, tools, [&](std::string_view text) { printed += text; },
                     [&](const sdl::Diagnostic& each) { warnings += each.text(); }, limits};
      std::atomic<unsigned> idle_threads = more_threads;
      if (more_threads > 0) host.idle_threads = &idle_threads;
      std::optional<sdl::CallCache> calls;
      std::mutex trace_mutex;
      if (kept) {
        sdl::CallCache::Options options;
        options.caches_functions = caches_functions;
        options.worth_keeping = worth_keeping;
        options.trace = [&](std::string_view line) {
          const std::lock_guard lock(trace_mutex);
          trace.emplace_back(line);
        };
        host.calls = &calls.emplace(kept->rows, kept->texts, models, std::move(options));
      }
      sdl::Evaluation evaluation(host);
      const sdl::Value value = evaluation.run(models.model("/main.ves"), dot_value ? *dot_value : sdl::BindingBuilder().finish());
      for (const sdl::Diagnostic& each : evaluation.diagnostics()) error += each.text();
      if (!value.is_stopped()) result = sdl::printed(value) + (shows_all ? sdl::printed(value, {.verbose = true}) : "");
      tools_run = tools_in_memory.runs;
      volatile_tools_run = tools_in_memory.volatile_runs;
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
