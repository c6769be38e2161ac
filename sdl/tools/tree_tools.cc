#include "sdl/tools/tree_tools.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "broker/sandbox/tool_process.h"
#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "sdl/access.h"
#include "sdl/timings.h"
#include "sdl/tools/tool_control.h"

namespace sdl {
namespace {

using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;

// Raise it when the same call gives another result.
constexpr std::string_view version = "_run_tool 2";

// How an argument is called in messages, and where it stands.
enum Argument : std::size_t {
  platform,
  command,
  standard_input,
  output_treatment,
  error_treatment,
  status_treatment,
  signal_treatment,
  content_prints,
  directory,
  writable,
  argument_count
};
constexpr const char* argument_names[argument_count] = {
    "platform",         "command",    "stdin", "stdout_treatment", "stderr_treatment", "status_treatment",
    "signal_treatment", "fp_content", "wd",    "existing_writable"};

struct Treatment {
  bool shows = false, returns = false, spoils = false;
};

Result<Treatment> stream_treatment(std::string_view word, Argument which) {
  if (word == "ignore") return Treatment{};
  if (word == "report") return Treatment{.shows = true};
  if (word == "report_nocache") return Treatment{.shows = true, .spoils = true};
  if (word == "value") return Treatment{.returns = true};
  if (word == "report_value") return Treatment{.shows = true, .returns = true};
  return fail(Fault::invalid,
              fmt::format("{} is \"{}\"; there are ignore, report, report_nocache, value and report_value",
                          argument_names[which], word));
}

// Whether it may be cached.
Result<bool> exit_treatment(std::string_view word, Argument which) {
  if (word == "report") return true;
  if (word == "report_nocache") return false;
  return fail(Fault::invalid,
              fmt::format("{} is \"{}\"; there are report and report_nocache", argument_names[which], word));
}

Result<std::string> text_of(const Value& value, Argument which, std::string_view otherwise) {
  if (value.is_unbound()) return std::string(otherwise);
  const auto bytes = text_bytes(value);
  if (!bytes) return tl::unexpected(bytes.error());
  if (which != standard_input && bytes->find('\0') != bytes->npos)
    return fail(Fault::invalid, fmt::format("{} has a NUL in it", argument_names[which]));
  return std::string(*bytes);
}

Result<Value> part_of_dot(const Value& dot, std::string_view name) {
  const Value part = dot.is_binding() ? select(dot, name) : Value();
  if (part.is_unbound()) return fail(Fault::invalid, fmt::format("there is no ./{}", name));
  if (!part.is_binding())
    return fail(Fault::invalid, fmt::format("./{} is {}, not t_binding", name, type_of(part)));
  return part;
}

Result<OwnedFd> memory_file() {
  OwnedFd file(::memfd_create("tool", MFD_CLOEXEC));
  if (!file)
    return fail(Fault::io, fmt::format("no memory for what a tool writes: {}", std::strerror(errno)));
  return file;
}

// A text to be read: by a pipe, which a thread fills, or as nothing at all.
class Input {
 public:
  static Result<Input> open(const std::string& text) {
    Input input;
    int ends[2];
    if (text.empty()) {
      input.reader_ = OwnedFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    } else if (::pipe2(ends, O_CLOEXEC) == 0) {
      input.reader_ = OwnedFd(ends[0]);
      input.writer_ = std::thread([&text, end = ends[1]] {
        // A reader that goes away is nothing to die of.
        sigset_t broken_pipe;
        ::sigemptyset(&broken_pipe);
        ::sigaddset(&broken_pipe, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
        const OwnedFd writer(end);
        cache::write_all(writer.get(), text);
      });
    }
    if (!input.reader_) return fail(Fault::io, fmt::format("no input for a tool: {}", std::strerror(errno)));
    return input;
  }
  Input(Input&&) = default;
  ~Input() {
    // Whoever has not read all of it will not any more.
    reader_.reset();
    if (writer_.joinable()) writer_.join();
  }
  int get() const { return reader_.get(); }

 private:
  Input() = default;
  OwnedFd reader_;
  std::thread writer_;
};

template <class List>
void sort_and_unite(List& list) {
  std::ranges::sort(list);
  const auto [from, end] = std::ranges::unique(list);
  list.erase(from, end);
}

// Read by ld.so and malloc before anybody is there to see it.
bool is_read_by_loader(std::string_view name) {
  return name.starts_with("LD_") || name.starts_with("MALLOC_") || name == "GLIBC_TUNABLES";
}

std::string describe_surroundings(const std::string& salt) {
  std::string text = salt.empty() ? std::string() : fmt::format("salt {} {} ", salt.size(), salt);
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit{};
    if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0)
      text += fmt::format("{} {} ", limit.rlim_cur, limit.rlim_max);
  }
  text += fmt::format("nice {} ignored", ::getpriority(PRIO_PROCESS, 0));
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
      text += fmt::format(" {}", signal);
  }
  return text;
}

Digest digest_of_variable(std::string_view value) { return cache::digest_of(value); }

}  // namespace

struct TreeTools::Call {
  std::vector<std::string> arguments;
  std::string input, directory;
  std::vector<std::pair<std::string, std::string>> variables;  // in their order
  Treatment output, errors;
  bool caches_failure = false, caches_signal = false;
  Digest tree, key;
  ToolControl control;
  std::vector<std::string> warnings;

  std::string command_line() const {
    std::string line;
    for (const std::string& argument : arguments) line += (line.empty() ? "" : " ") + argument;
    return line;
  }
  const std::string* variable(std::string_view name) const {
    const auto found = std::ranges::find_if(variables, [&](const auto& each) { return each.first == name; });
    return found == variables.end() ? nullptr : &found->second;
  }
  bool fits(const ToolResult& result) const {
    if (result.needs.whole_environment) {
      return std::ranges::equal(variables, result.variables, [](const auto& own, const auto& other) {
        return own.first == other.first && digest_of_variable(own.second) == other.second;
      });
    }
    return std::ranges::all_of(result.needs.variables, [&](const std::string& name) {
      const std::string* const own = variable(name);
      const auto other =
          std::ranges::find_if(result.variables, [&](const auto& each) { return each.first == name; });
      if (!own || other == result.variables.end()) return !own && other == result.variables.end();
      return digest_of_variable(*own) == other->second;
    });
  }
};

TreeTools::TreeTools(Directories& directories, ToolOptions options)
    : directories_(directories),
      options_(std::move(options)),
      surroundings_(describe_surroundings(options_.salt)),
      roots_(directories),
      results_(options_.cache_directory + "/tools") {}

Result<TreeTools::Call> TreeTools::understand(std::span<const Value> given, const Value& dot) {
  const Timed preparing(Activity::prepare_tools);
  const auto argument = [&](Argument which) { return which < given.size() ? given[which] : Value(); };
  Call call;
  const std::string platform_name = TRY(text_of(argument(platform), platform, ""));
  for (const Value& word : elements_of(argument(command))) {
    if (!word.is_text())
      return fail(Fault::invalid, fmt::format("command has {} in it, not t_text", type_of(word)));
    call.arguments.push_back(TRY(text_of(word, command, "")));
  }
  if (call.arguments.empty() || call.arguments[0].empty())
    return fail(Fault::invalid, "command names no program");
  call.input = TRY(text_of(argument(standard_input), standard_input, ""));
  const std::string words[] = {TRY(text_of(argument(output_treatment), output_treatment, "report")),
                               TRY(text_of(argument(error_treatment), error_treatment, "report")),
                               TRY(text_of(argument(status_treatment), status_treatment, "report_nocache")),
                               TRY(text_of(argument(signal_treatment), signal_treatment, "report_nocache"))};
  call.output = TRY(stream_treatment(words[0], output_treatment));
  call.errors = TRY(stream_treatment(words[1], error_treatment));
  call.caches_failure = TRY(exit_treatment(words[2], status_treatment));
  call.caches_signal = TRY(exit_treatment(words[3], signal_treatment));
  if (const Value prints = argument(content_prints);
      !prints.is_unbound() && !prints.is_integer() && !prints.is_boolean())
    return fail(Fault::invalid, fmt::format("fp_content is {}, not t_int or t_bool", type_of(prints)));
  const std::string below = TRY(text_of(argument(directory), directory, ".WD"));
  if (below.starts_with('/')) return fail(Fault::invalid, "wd begins with a delimiter");
  call.directory = "/" + below;
  const bool may_write = !argument(writable).is_unbound() && argument(writable).as_boolean();

  const Value root = TRY(part_of_dot(dot, "root")), variables = TRY(part_of_dot(dot, "envVars"));
  for (std::uint32_t i = 0; i < length(variables); ++i) {
    const Value name_value = name_at(variables, i), value = value_at(variables, i);
    const std::string name(view_of(name_value));
    if (!value.is_text())
      return fail(Fault::invalid, fmt::format("./envVars/{} is {}, not t_text", name, type_of(value)));
    std::string text(TRY(text_bytes(value)));
    if (name.find('=') != name.npos || name.find('\0') != name.npos || text.find('\0') != text.npos)
      return fail(Fault::invalid, fmt::format("./envVars/{} cannot be a variable", name));
    call.variables.emplace_back(name, std::move(text));
  }
  call.tree = TRY(roots_.tree_of(root, may_write));
  call.control = TRY(ToolControl::of(select(dot, "tool_dep_control"), call.warnings));
  const auto found = broker::tree::Reader(directories_.blobs()).find(call.tree, call.directory);
  if (!found || !std::holds_alternative<broker::tree::Reader::FoundDirectory>(*found))
    return fail(Fault::invalid, fmt::format("wd: ./root/{} is no directory", below));

  cache::Hasher key;
  key.add_piece(version);
  key.add_piece(platform_name);
  key.add_piece(surroundings_);
  for (const auto& [name, value] : call.variables)
    if (is_read_by_loader(name)) key.add_piece(name + "=" + value);
  key.add_piece(std::to_string(call.arguments.size()));
  for (const std::string& word : call.arguments) key.add_piece(word);
  key.add_piece(call.input);
  for (const std::string& word : words) key.add_piece(word);
  key.add_piece(call.directory);
  key.add_piece(may_write ? "writable" : "");
  TRY(call.control.add_to_key(key, directories_, call.tree, call.warnings));
  call.key = key.finish();
  return call;
}

// A name alone is looked for in the working directory, then along PATH, or in bin and usr/bin. Spec 8.1.
Result<std::string> TreeTools::program_path(const Call& call, ToolNeeds& needs) {
  const std::string& name = call.arguments[0];
  const broker::tree::Reader reader(directories_.blobs());
  const auto is_file = [&](const std::string& path) {
    static_cast<void>(add_need(needs, directories_, call.tree, path));
    const auto found = reader.find(call.tree, path);
    return found && std::holds_alternative<broker::tree::File>(*found);
  };
  if (name.find('/') != name.npos) {
    if (is_file(name.starts_with('/') ? name : call.directory + "/" + name)) return name;
    return fail(Fault::not_found, fmt::format("./root has no file {}", name));
  }
  if (is_file(call.directory + "/" + name)) return call.directory + "/" + name;
  const std::string* const path = call.variable("PATH");
  needs.variables.emplace_back("PATH");
  const std::string places = path ? *path : "/bin:/usr/bin";
  for (std::size_t from = 0; from <= places.size();) {
    const std::size_t end = std::min(places.find(':', from), places.size());
    const std::string place = places.substr(from, end - from);
    from = end + 1;
    if (place.starts_with('/') && is_file(place + "/" + name)) return place + "/" + name;
  }
  return fail(Fault::not_found, fmt::format("there is no {} in the working directory, nor in {}", name,
                                            path ? "./envVars/PATH" : "bin or usr/bin"));
}

Result<ToolResult> TreeTools::execute(const Call& call) {
  const Timed running(Activity::run_tools);
  broker::sandbox::ToolRequest request;
  request.cache_directory = options_.cache_directory;
  request.tree = call.tree;
  request.directory = call.directory;
  request.arguments = call.arguments;
  ToolNeeds chosen;
  request.arguments[0] = TRY(program_path(call, chosen));
  TRY(add_need(chosen, directories_, call.tree, call.directory));
  for (const auto& [name, value] : call.variables) request.environment.push_back(name + "=" + value);
  request.fresh = true;  // what is replayed looks at nothing, and what it looks at is wanted
  const Input input = TRY(Input::open(call.input));
  const OwnedFd output = TRY(memory_file()), errors = TRY(memory_file());
  const auto ended = TRY(broker::sandbox::run_tool(request, input.get(), output.get(), errors.get()));
  ToolResult result;
  result.status = ended.status;
  result.output = TRY(directories_.blobs().put_file(output.get()));
  result.errors = TRY(directories_.blobs().put_file(errors.get()));
  result.tree = call.tree;
  result.after = ended.after;
  auto needs = needs_of(ended.report, directories_, call.tree);
  if (!needs) {
    result.needs.files = {{std::string(), NeedKind::value}};
    result.needs.whole_environment = true;
    result.needs.may_be_kept = false;
  } else {
    result.needs = std::move(*needs);
    result.needs.files.insert(result.needs.files.end(), chosen.files.begin(), chosen.files.end());
    result.needs.variables.insert(result.needs.variables.end(), chosen.variables.begin(),
                                  chosen.variables.end());
    TRY(call.control.apply(result.needs.files, directories_, call.tree));
    sort_and_unite(result.needs.variables);
  }
  for (const auto& [name, value] : call.variables)
    if (result.needs.whole_environment || std::ranges::binary_search(result.needs.variables, name))
      result.variables.emplace_back(name, digest_of_variable(value));
  return result;
}

std::optional<ToolResult> TreeTools::known_result(const Call& call) {
  if (!options_.uses_results) return std::nullopt;
  const Timed looking_up(Activity::look_up_tools);
  for (ToolResult& result : results_.look_up(call.key)) {
    if (!call.fits(result)) continue;
    const auto holds = hold(result.needs.files, directories_, result.tree, call.tree);
    if (!holds || !*holds) continue;
    const auto is_stored = [&](const cache::StoredBlob& blob) {
      return blob.bytes == 0 || directories_.blobs().has(blob.digest);
    };
    if (!is_stored(result.output) || !is_stored(result.errors) ||
        !are_changes_stored(directories_, result.tree, result.after))
      continue;
    return std::move(result);
  }
  return std::nullopt;
}

void TreeTools::tell_dependencies(const Call& call, const ToolNeeds& needs) const {
  if (!options_.tell_dependencies) return;
  std::string lines;
  const auto add = [&](std::string line) {
    std::ranges::replace(line, '\n', ' ');
    line += '\n';
    if (!lines.ends_with('\n' + line)) lines += line;
  };
  add(call.command_line());
  for (const ToolNeed& need : needs.files) {
    // All of what is not there is that it is not there.
    const auto place = directories_.at(call.tree, need.path);
    const bool is_absent = need.kind == NeedKind::value && !need.path.empty() && place &&
                           std::holds_alternative<std::monostate>(place->entry);
    add(fmt::format("  {}/./root{}{}", static_cast<char>(is_absent ? NeedKind::existence : need.kind),
                    need.path.empty() ? "" : "/", need.path));
  }
  if (needs.whole_environment) add("  N/./envVars");
  else
    for (const std::string& name : needs.variables) add(fmt::format("  {}/./envVars/{}", call.variable(name) ? 'N' : '!', name));
  options_.tell_dependencies(lines);
}

Result<ToolResult> TreeTools::result_of(const Call& call) {
  const auto trace = [&](std::string_view outcome) {
    if (options_.trace) options_.trace(fmt::format("{:<6} {}", outcome, call.command_line()));
  };
  const auto watch = [&](ToolEvent event) {
    if (options_.watch) options_.watch(event, call.command_line());
  };
  const std::pair own(call.key, call.tree);
  {
    std::unique_lock lock(running_mutex_);
    const Timed waiting(Activity::wait);
    some_have_ended_.wait(lock, [&] { return !running_.contains(own); });
    running_.insert(own);
  }
  const auto leave = [&](const TreeTools*) {
    const std::lock_guard lock(running_mutex_);
    running_.erase(own);
    some_have_ended_.notify_all();
  };
  const std::unique_ptr<const TreeTools, decltype(leave)> runs(this, leave);
  if (auto known = known_result(call)) {
    trace("hit");
    watch(ToolEvent::found);
    tell_dependencies(call, known->needs);
    return std::move(*known);
  }
  trace(options_.uses_results ? "miss" : "run");
  watch(ToolEvent::begins);
  auto executed = execute(call);
  watch(ToolEvent::ends);
  ToolResult result = TRY(std::move(executed));
  tell_dependencies(call, result.needs);
  const auto show = [&](const cache::StoredBlob& blob, const Treatment& treatment,
                        bool is_output) -> Result<bool> {
    if (treatment.shows && blob.bytes > 0 && options_.show)
      options_.show(TRY(directories_.blobs().read(blob.digest, blob.bytes)), is_output);
    return true;
  };
  TRY(show(result.output, call.output, true));
  TRY(show(result.errors, call.errors, false));
  const bool is_killed = WIFSIGNALED(result.status),
             has_failed = WIFEXITED(result.status) && WEXITSTATUS(result.status) != 0;
  if ((is_killed && !call.caches_signal) || (has_failed && !call.caches_failure)) {
    const std::string how = is_killed ? fmt::format("was ended by signal {} ({})", WTERMSIG(result.status),
                                                    ::strsignal(WTERMSIG(result.status)))
                                      : fmt::format("ended with status {}", WEXITSTATUS(result.status));
    const std::string failure = fmt::format("{} {}", call.command_line(), how);
    if (!options_.keep_going) return fail(Fault::unsupported, failure);
    options_.keep_going(failure);
    result.is_kept = false;
    return result;
  }
  const bool spoilt =
      (call.output.spoils && result.output.bytes > 0) || (call.errors.spoils && result.errors.bytes > 0);
  result.is_kept = !spoilt && result.needs.may_be_kept;
  // That it could not be kept costs another run.
  if (result.is_kept && options_.uses_results && options_.adds_results) {
    const Timed keeping(Activity::keep_tools);
    static_cast<void>(results_.add(call.key, result));
  }
  return result;
}

Result<Value> TreeTools::value_of(const Call& call, const ToolResult& result) {
  BindingBuilder made(8);
  const auto add = [&](std::string_view name, Value value) { made.add(make_text(name), std::move(value)); };
  const bool is_killed = WIFSIGNALED(result.status);
  add("dumped_core", Value::boolean(is_killed && WCOREDUMP(result.status)));
  add("code", Value::integer(is_killed ? 0 : WEXITSTATUS(result.status)));
  add("signal", Value::integer(is_killed ? WTERMSIG(result.status) : 0));
  add("stdout_written", Value::boolean(result.output.bytes > 0));
  add("stderr_written", Value::boolean(result.errors.bytes > 0));
  const auto text = [&](const cache::StoredBlob& blob, const char* name) {
    return directories_.text({.name = name, .digest = blob.digest, .bytes = blob.bytes});
  };
  if (call.output.returns) add("stdout", text(result.output, "stdout"));
  if (call.errors.returns) add("stderr", text(result.errors, "stderr"));
  add("root", TRY(changes_between(directories_, result.tree, result.after)));
  return made.finish();
}

std::string TreeTools::surroundings() const { return fmt::format("{} {}", version, surroundings_); }

Result<ToolRun> TreeTools::run(std::span<const Value> arguments, const Value& dot) {
  const Call call = TRY(understand(arguments, dot));
  const ToolResult result = TRY(result_of(call));
  return ToolRun{TRY(value_of(call, result)), result.is_kept, call.warnings};
}

}  // namespace sdl
