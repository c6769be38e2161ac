// vestal build [OPTIONS] [MODEL]
#include <errno.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "broker/cache_place.h"
#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/cli/tree.h"
#include "broker/client.h"
#include "broker/wording.h"
#include "cache/use_lock.h"
#include "cache/rows.h"
#include "sdl/call_cache.h"
#include "sdl/deep_stack.h"
#include "sdl/evaluator.h"
#include "sdl/printer.h"
#include "sdl/ship.h"
#include "sdl/timings.h"
#include "sdl/tools/library.h"
#include "sdl/tools/progress.h"
#include "sdl/tools/snapshot_files.h"
#include "sdl/tools/tree_tools.h"

namespace sdl {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

constexpr int status_model_error = 1;
constexpr unsigned threads_max = 60;  // fewer than there can be sandboxes
constexpr std::uint64_t calls_bytes_max = std::uint64_t{512} << 20;
constexpr const char* default_names[] = {".main.ves", "build.ves"};

struct Wishes {
  std::string model, target, selector, repository, cache_level = "all", salt;
  bool shows_result = false, only_parses = false, keeps_going = false, traces = false,
       traces_calls = false, tells_dependencies = false, adds_nothing = false, shows_timings = false,
       shows_progress = false;
  unsigned thread_count = std::max(1u, std::thread::hardware_concurrency());
};

bool is_of_type(const std::string& path, mode_t type) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IFMT) == type;
}

Result<std::string> absolute(const std::string& path) {
  std::error_code error;
  std::string whole = std::filesystem::absolute(path, error).lexically_normal().string();
  if (error) return fail(Fault::io, fmt::format("{}: {}", path, error.message()));
  if (whole.size() > 1 && whole.ends_with('/')) whole.pop_back();
  return whole;
}

Result<std::string> model_path(const std::string& word) {
  std::string path = word.empty() ? "." : word;
  if (is_of_type(path, S_IFDIR)) {
    for (const char* name : default_names) {
      if (!is_of_type(path + "/" + name, S_IFREG)) continue;
      path += "/";
      path += name;
      break;
    }
    // One that stands beside it, as `vestal import --sdl` writes them.
    if (is_of_type(path, S_IFDIR) && !word.empty() && !word.ends_with('/') &&
        is_of_type(word + ".ves", S_IFREG))
      return absolute(word + ".ves");
    if (is_of_type(path, S_IFDIR))
      return fail(Fault::not_found,
                  fmt::format("{}: there is neither {} nor {}", path, default_names[0], default_names[1]));
  } else if (!path.ends_with(".ves")) {
    path += ".ves";
  }
  if (!is_of_type(path, S_IFREG))
    return fail(Fault::not_found, fmt::format("{}: there is no such model", path));
  return absolute(path);
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

bool has_errors(const std::vector<Diagnostic>& found) {
  return std::ranges::any_of(found, [](const Diagnostic& each) { return each.severity == Severity::error; });
}

int only_parse(const Model& model) {
  std::vector<Diagnostic> found;
  const bool good = model.syntax(found) != nullptr;
  for (const Diagnostic& each : found) tell(each);
  return good && !has_errors(found) ? 0 : status_model_error;
}

int use(const Value& result, const Wishes& wishes) {
  const Timed using_it(Activity::use_result);
  if (wishes.shows_result) print(printed(result) + "\n");
  if (wishes.target.empty()) return 0;
  const auto failed = [](const cache::Error& error) {
    broker::complain("build: " + error.message);
    return status_model_error;
  };
  const auto shipped = selected(result, wishes.selector);
  if (!shipped) return failed(shipped.error());
  const std::string name = std::filesystem::path(wishes.selector).filename().string();
  const auto written = ship(*shipped, wishes.target, name);
  return written ? 0 : failed(written.error());
}

int evaluate(ModelLoader& models, const Model& model, Directories& directories, const std::string& place,
             const Wishes& wishes, Timings* timings) {
  // Where another build has them, calls are evaluated.
  std::unique_ptr<cache::Rows> rows;
  if (wishes.cache_level == "model" || wishes.cache_level == "all")
    if (auto opened = cache::DiskRows::open(place + "/calls", calls_bytes_max)) rows = std::move(*opened);
  BlobTexts texts(directories);
  std::optional<CallCache> calls;
  std::optional<Progress> progress;  // goes first, for it looks at the calls
  const auto beside_progress = [&](const std::function<void()>& write) {
    if (progress) progress->write(write);
    else write();
  };
  ToolOptions options;
  options.cache_directory = place;
  options.uses_results = wishes.cache_level != "none";
  options.adds_results = !wishes.adds_nothing;
  options.salt = wishes.salt;
  std::atomic<bool> has_failed = false;
  if (wishes.keeps_going)
    options.keep_going = [&](const std::string& failure) {
      has_failed = true;
      beside_progress([&] { broker::complain("build: " + failure); });
    };
  options.show = [&](std::string_view text, bool is_output) {
    beside_progress([&] {
      std::FILE* const stream = is_output ? stdout : stderr;
      std::fwrite(text.data(), 1, text.size(), stream);
      std::fflush(stream);
    });
  };
  if (wishes.traces || wishes.traces_calls)
    options.trace = [&](std::string_view line) {
      std::error_code error;
      const std::string here = " " + std::filesystem::current_path(error).string() + "/";
      std::string told(line);
      if (const std::size_t at = error ? told.npos : told.find(here); at != told.npos) told.replace(at, here.size(), " ");
      beside_progress([&] { broker::complain(told); });
    };
  if (wishes.tells_dependencies)
    options.tell_dependencies = [&](const std::string& lines) {
      beside_progress([&] { std::fputs(("vestal: depends: " + lines).c_str(), stderr); });
    };
  const bool has_progress = wishes.shows_progress && Progress::is_possible();
  if (has_progress)
    options.watch = [&](ToolEvent event, const std::string& command_line) { progress->note(event, command_line); };
  TreeTools tools(directories, options);
  std::atomic<unsigned> idle_threads = wishes.thread_count - 1;
  // A warning of a place that is come by often is told once.
  std::mutex warning_mutex;
  std::set<std::string> warnings;
  const auto warn = [&](const Diagnostic& warning) {
    const std::lock_guard lock(warning_mutex);
    if (warnings.insert(warning.text()).second) beside_progress([&] { tell(warning); });
  };
  Host host{models, tools, [&](std::string_view text) { beside_progress([&] { print(text); }); }, warn};
  host.idle_threads = &idle_threads;
  host.timings = timings;
  if (rows) {
    CallCache::Options call_options;
    call_options.salt = fmt::format("{} {} {} {}", tools.surroundings(), host.limits.length,
                                    host.limits.printed_bytes, wishes.repository);
    call_options.caches_functions = wishes.cache_level == "all";
    call_options.adds = !wishes.adds_nothing;
    // Of models only the one that is the build, for there may be many.
    if (wishes.traces_calls) call_options.trace = options.trace;
    else if (wishes.traces)
      call_options.trace = [tell = options.trace, own = "model " + model.path()](std::string_view line) {
        if (line.ends_with(own)) tell(line);
      };
    host.calls = &calls.emplace(*rows, texts, models, std::move(call_options));
  }
  if (has_progress)
    progress.emplace([&] { return calls ? calls->counts().found + calls->counts().builds_found : std::uint64_t{0}; });
  Evaluation evaluation(host);
  const Value result = evaluation.run(model, BindingBuilder().finish());
  progress.reset();
  for (const Diagnostic& each : evaluation.diagnostics()) tell(each);
  if (result.is_stopped()) return status_model_error;
  const int status = use(result, wishes);
  return status == 0 && has_failed ? status_model_error : status;
}

Result<cache::Digest> snapshot(const std::string& directory) {
  const Timed storing(Activity::store_trees);
  const auto added = nlohmann::json::parse(TRY(broker::ask_broker(broker::RequestKind::tree_add, directory)),
                                           nullptr, false);
  if (!added.is_object()) return fail(Fault::io, "the broker's answer cannot be read");
  return broker::cli::digest_in(added.at("digest").get<std::string>());
}

// Fault::io: there is no cache, or a directory cannot be stored.
Result<int> build_in(const std::string& path, const std::string& repository, const Wishes& wishes, Timings* timings) {
  const std::string place = TRY(broker::cache_place());
  const cache::OwnedFd in_use = TRY(cache::hold_cache(place));
  using Reach = SnapshotFiles::Reach;
  std::vector<std::pair<std::string, Reach>> roots;
  if (!repository.empty()) roots.emplace_back(repository, Reach::absolute);
  roots.emplace_back(std::filesystem::path(path).parent_path().string(), Reach::relative);
  std::vector<cache::Digest> trees;
  for (const auto& [root, reach] : roots) trees.push_back(TRY(snapshot(root)));
  Directories directories(TRY(cache::BlobStore::open(place + "/blobs")));
  SnapshotFiles files(directories);
  files.add(library_directory, library_tree(directories), Reach::absolute);
  for (std::size_t i = 0; i < roots.size(); ++i) files.add(roots[i].first, trees[i], roots[i].second);
  ModelLoader models(files, "/");  // what absolute paths may name is for `files` to say
  return evaluate(models, models.model(path), directories, place, wishes, timings);
}

int parse(const std::string& path) {
  DiskFiles files;
  ModelLoader models(files);
  return only_parse(models.model(path));
}

// The spelling of Vesta has one dash, and of some options other words.
std::string own_spelling(const char* word) {
  for (const char* const name : {"-result", "-parse", "-shipto", "-shipfrom", "-cache", "-trace", "-maxthreads", "-fsdeps",
                                 "-timings", "-salt", "-no-add", "-progress"})
    if (!std::strcmp(word, name)) return std::string("-") + word;
  if (!std::strcmp(word, "-pk-salt")) return "--salt";
  if (!std::strcmp(word, "-noaddentry")) return "--no-add";
  return word;
}

int build(const broker::CommandOptions&, char* const* arguments) {
  Wishes wishes;
  std::vector<std::string> own, models_named;
  for (bool options_end = false; *arguments; ++arguments) {
    std::string word = options_end ? *arguments : own_spelling(*arguments);
    if (!options_end && word == "--") {
      options_end = true;
    } else if (options_end || word.size() < 2 || word[0] != '-') {
      models_named.push_back(std::move(word));
    } else {
      const bool has_value = word == "--shipto" || word == "--shipfrom" || word == "--repository" ||
                             word == "--cache" || word == "-j" || word == "--maxthreads" || word == "--salt";
      own.push_back(std::move(word));
      if (has_value && arguments[1]) own.emplace_back(*++arguments);
    }
  }
  broker::cli::Options accepted("vestal build [OPTIONS] [MODEL]",
                                "Evaluates a model in Vesta's System Description Language. MODEL is a file, "
                                "whose suffix .ves may be left out, or a directory; of that, and "
                                "without MODEL of the current one, .main.ves or build.ves.");
  accepted.flag("--result", wishes.shows_result, "Print the result");
  accepted.flag("--parse", wishes.only_parses, "Look only whether the model is written correctly");
  accepted.word("--shipto", "DIR", wishes.target,
                "Write the result there: texts as files, bindings as directories");
  accepted.word("--shipfrom", "PATH", wishes.selector,
                "Of the result, ship what stands under these names, NAME/NAME...");
  accepted.word("--repository", "DIR", wishes.repository,
                "Where absolute paths in models may lead; what is there should never change");
  accepted.flag("-k", wishes.keeps_going,
                "Go on with the result of a tool that fails, which is not kept; the status is 1 then");
  accepted.word("--cache", "none|runtool|model|all", wishes.cache_level,
                "none: run all tools and evaluate all calls; runtool: use what tools did before; model: and what calls "
                "of models came to; all: and of functions");
  accepted.word("--salt", "TEXT", wishes.salt,
                "Use and keep only results of builds with the same salt; another one builds everything anew");
  accepted.flag("--no-add", wishes.adds_nothing, "Use results that are known, but keep none of this build");
  std::string threads;
  accepted.word("-j,--maxthreads", "N", threads,
                "How many calls _par_map makes at once; as many as there are processors");
  accepted.flag("--trace", wishes.traces, "Tell each tool that is asked for, and whether its result was known");
  accepted.flag("--trace-calls", wishes.traces_calls, "Tell the same of calls of models and functions too");
  accepted.flag("--fsdeps", wishes.tells_dependencies,
                "Tell of each tool that is asked for what in ./root and ./envVars its result depends on");
  accepted.flag("--timings", wishes.shows_timings, "Tell at the end where the time went");
  accepted.flag("--progress", wishes.shows_progress,
                "On a terminal, show in one line what is being done; NO_COLOR and TERM=dumb are heeded");
  if (const int status = accepted.parse(std::move(own)); status >= 0) return status;
  if (!threads.empty()) {
    const auto [end, error] =
        std::from_chars(threads.data(), threads.data() + threads.size(), wishes.thread_count);
    if (error != std::errc() || end != threads.data() + threads.size() || wishes.thread_count < 1 ||
        wishes.thread_count > threads_max)
      return broker::cli::wrong_usage(
          fmt::format("build: -j {}: a number from 1 to {}", threads, threads_max));
  }
  constexpr const char* levels[] = {"none", "runtool", "model", "all"};
  if (std::ranges::find(levels, wishes.cache_level) == std::end(levels))
    return broker::cli::wrong_usage("build: --cache " + wishes.cache_level +
                                    ": there are none, runtool, model and all");
  if (models_named.size() > 1) return broker::cli::wrong_usage("build: there can be one model only");
  if (!models_named.empty()) wishes.model = models_named[0];
  if (!wishes.selector.empty() && wishes.target.empty())
    return broker::cli::wrong_usage("build: --shipfrom needs --shipto");

  const auto path = model_path(wishes.model);
  const Result<std::string> repository =
      wishes.repository.empty() ? std::string() : absolute(wishes.repository);
  for (const auto& known : {path, repository}) {
    if (known) continue;
    broker::complain("build: " + known.error().message);
    return status_model_error;
  }
  int status = broker::status_own_failure;
  Timings timings;
  const auto began = std::chrono::steady_clock::now();
  on_deep_stack([&] {
    Timings* const wanted = wishes.shows_timings ? &timings : nullptr;
    const ThreadClock clock(wanted);
    try {
      const Result<int> done = wishes.only_parses ? parse(*path) : build_in(*path, *repository, wishes, wanted);
      if (done)
        status = *done;
      else
        broker::complain("build: " + done.error().message);
    } catch (const std::bad_alloc&) {
      broker::complain("build: out of memory");
    }
  });
  if (wishes.shows_timings) {
    const std::string table = "vestal: where the time went:\n" + timings.table(std::chrono::steady_clock::now() - began);
    std::fputs(table.c_str(), stderr);
  }
  return status;
}

const broker::cli::Subcommand build_subcommand("build", "[MODEL]",
                                               "Evaluates a model in Vesta's System Description Language",
                                               build);

}  // namespace
}  // namespace sdl
