// vestal sdl fmt, vestal sdl repl
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>

#include <fmt/format.h>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/client.h"
#include "broker/wording.h"
#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "sdl/deep_stack.h"
#include "sdl/format.h"
#include "sdl/repl.h"

namespace sdl {
namespace {

using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;

constexpr int status_wrong_model = 1;

Result<std::string> read_whole(const std::string& path) {
  const OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
  if (S_ISDIR(status.st_mode)) return fail(Fault::invalid, path + ": a directory; name the models in it");
  if (status.st_size > static_cast<off_t>(Source::bytes_max)) return fail(Fault::invalid, path + ": too long for a model");
  return cache::read_all(file.get());
}

// In the file's place; whoever reads it meanwhile has the one or the other.
Result<bool> replace(const std::string& spelled, std::string_view text) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(spelled.c_str(), nullptr), &std::free);
  const std::string path = real ? real.get() : spelled;
  struct stat status {};
  std::string beside = path + ".XXXXXX";
  const auto cannot = [&] { return fail(Fault::io, fmt::format("{}: {}", spelled, std::strerror(errno))); };
  if (::stat(path.c_str(), &status) != 0) return cannot();
  const OwnedFd file(::mkostemp(beside.data(), O_CLOEXEC));
  if (!file) return cannot();
  if (cache::write_all(file.get(), text) && ::fchmod(file.get(), status.st_mode & 07777) == 0 && ::rename(beside.c_str(), path.c_str()) == 0) return true;
  const auto failed = cannot();
  ::unlink(beside.c_str());
  return failed;
}

int lay_out(const std::vector<std::string>& files, bool only_checks) {
  int status = 0;
  for (const std::string& path : files) {
    const bool is_input = path == "-";
    auto text = read_whole(is_input ? "/dev/stdin" : path);
    if (!text) {
      broker::complain("sdl fmt: " + text.error().message);
      status = status_wrong_model;
      continue;
    }
    const Source source(is_input ? "standard input" : path, *std::move(text));
    std::vector<Diagnostic> found;
    const auto laid_out = formatted(source, found);
    if (!laid_out) {
      for (const Diagnostic& each : found) std::fputs(each.text().c_str(), stderr);
      status = status_wrong_model;
    } else if (only_checks) {
      if (*laid_out == source.text()) continue;
      fmt::print("{}\n", source.path());
      status = status_wrong_model;
    } else if (is_input) {
      std::fwrite(laid_out->data(), 1, laid_out->size(), stdout);
    } else if (*laid_out != source.text()) {
      if (const auto replaced = replace(path, *laid_out); !replaced) {
        broker::complain("sdl fmt: " + replaced.error().message);
        status = status_wrong_model;
      }
    }
  }
  return status;
}

int format(char* const* arguments) {
  bool only_checks = false;
  std::vector<std::string> files, own;
  for (; *arguments; ++arguments) {
    const std::string word = *arguments;
    if (word.size() > 1 && word[0] == '-') own.push_back(word);
    else files.push_back(word);
  }
  broker::cli::Options accepted("vestal sdl fmt [--check] [FILE...]",
                                "Lays out models: indentation and blanks; lines, comments and all else stay. Files are changed in their place; without any, or for -, standard input goes to standard output.");
  accepted.flag("--check", only_checks, "Name the files that would change, and change none; the status is 1 if there are any");
  if (const int status = accepted.parse(std::move(own)); status >= 0) return status;
  if (files.empty()) files.emplace_back("-");
  int status = broker::status_own_failure;
  on_deep_stack([&] { status = lay_out(files, only_checks); });
  return status;
}

// Prompts are shown if there is somebody to type, who ends an input that could go on by an empty line.
int read_and_print() {
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string();
  if (error) {
    broker::complain("sdl repl: the current directory: " + error.message());
    return broker::status_own_failure;
  }
  const auto print = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  Repl repl(here, print, tell);
  const bool is_typed = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  bool has_failed = false;
  std::string input, line;
  for (;;) {
    if (is_typed) print(input.empty() ? "> " : ". ");
    const bool is_over = !std::getline(std::cin, line);
    if (is_over && input.empty()) break;
    input += line;
    const bool may_go_on = !is_over && !(is_typed && line.empty());
    const Repl::Reply reply = repl.take(input, may_go_on);
    has_failed = has_failed || reply == Repl::Reply::failed;
    if (is_over) break;
    if (reply == Repl::Reply::incomplete) input += '\n';
    else input.clear();
    line.clear();
  }
  if (is_typed) print("\n");
  return has_failed && !is_typed ? status_wrong_model : 0;
}

int repl(char* const* arguments) {
  broker::cli::Options accepted("vestal sdl repl",
                                "Reads expressions and prints their values; reads definitions, `files` and `import` clauses, whose names can be used from then on. An input "
                                "goes on over as many lines as it needs. The end of the file ends it; the status is 1 then if anything was wrong that nobody has typed.");
  if (const int status = accepted.parse(broker::cli::words_of(arguments)); status >= 0) return status;
  int status = broker::status_own_failure;
  on_deep_stack([&] { status = read_and_print(); });
  return status;
}

int sdl(const broker::CommandOptions&, char* const* arguments) {
  if (arguments[0] && !std::strcmp(arguments[0], "fmt")) return format(arguments + 1);
  if (arguments[0] && !std::strcmp(arguments[0], "repl")) return repl(arguments + 1);
  broker::cli::Options accepted("vestal sdl fmt [--check] [FILE...]\n       vestal sdl repl",
                                "Tools for models in Vesta's System Description Language. `vestal sdl fmt --help` tells of each.");
  accepted.act("fmt", "[--check] [FILE...]", "Lays out models", true);
  accepted.act("repl", "", "Reads expressions and prints their values", true);
  if (arguments[0] && arguments[0][0] == '-') {
    if (const int status = accepted.parse({arguments[0]}); status >= 0) return status;
  }
  if (!arguments[0]) return broker::cli::wrong_usage("sdl: what? There are fmt and repl");
  return broker::cli::wrong_usage(fmt::format("sdl: unknown act '{}'{}", arguments[0], broker::suggestion(arguments[0], {"fmt", "repl"})));
}

const broker::cli::Subcommand sdl_subcommand("sdl", "fmt|repl ...", "Lays out models; evaluates what is typed", sdl);

}  // namespace
}  // namespace sdl
