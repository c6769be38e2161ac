#include "makecompat/compile_commands.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <tuple>

#include <nlohmann/json.hpp>

#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"

namespace makecompat {

using cache::fail;
using cache::Fault;
using cache::Result;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr std::string_view source_endings[] = {".c", ".C", ".cc", ".cp", ".cpp", ".CPP", ".cxx", ".c++", ".i", ".ii", ".m", ".mm", ".M", ".s", ".S", ".sx"};
// Whose argument is the next word. https://gcc.gnu.org/onlinedocs/gcc/Option-Summary.html
constexpr std::string_view options_with_word[] = {"-o", "-I", "-D", "-U", "-L", "-l", "-x", "-u", "-z", "-T", "-e", "-A", "-B", "-F", "-MF", "-MT", "-MQ", "-include",
                                                  "-imacros", "-isystem", "-iquote", "-idirafter", "-iprefix", "-iwithprefix", "-iwithprefixbefore", "-isysroot", "--param",
                                                  "-Xlinker", "-Xpreprocessor", "-Xassembler", "-Xclang", "-arch", "-target", "-aux-info", "-dumpbase", "-dumpdir", "-dumpext",
                                                  "-wrapper", "-specs", "--sysroot", "-framework", "-G"};
// It makes no object then.
constexpr std::string_view options_without_compiling[] = {"-E", "-M", "-MM", "-fsyntax-only", "-###", "--version", "-dumpversion", "-dumpmachine"};

template <class Words>
bool is_among(std::string_view word, const Words& words) { return std::ranges::find(words, word) != std::end(words); }

bool is_source(std::string_view word) {
  return std::ranges::any_of(source_endings, [&](std::string_view ending) { return word.size() > ending.size() && word.ends_with(ending); });
}

bool is_there(const std::string& directory, const std::string& file) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::path(directory) / file, error) && !error;
}

std::string path_of(const CompileCommand& command) { return (std::filesystem::path(command.directory) / command.file).lexically_normal().string(); }

using Key = std::tuple<std::string, std::string, std::string>;  // source, output, directory
Key key_of(const CompileCommand& command) { return {path_of(command), command.output, command.directory}; }

// Those that are in the file already. Whoever wrote them: with a command in one word they stay as they are.
Result<std::vector<ordered_json>> entries_in(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return fail(Fault::invalid, path + ": is no plain file; choose another name");
  const cache::OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::vector<ordered_json>{};
  if (!file) return fail(Fault::io, path + ": cannot be read: " + std::strerror(errno));
  const std::string text = cache::read_all(file.get());
  if (text.find_first_not_of(" \t\r\n") == text.npos) return std::vector<ordered_json>{};
  const ordered_json all = ordered_json::parse(text, nullptr, false);
  const auto is_entry = [](const ordered_json& entry) {
    if (entry.contains("output") && !entry["output"].is_string()) return false;
    return entry.is_object() && entry.contains("directory") && entry["directory"].is_string() && entry.contains("file") && entry["file"].is_string();
  };
  if (!all.is_array() || !std::ranges::all_of(all, is_entry))
    return fail(Fault::invalid, path + ": is there and is no compilation database; move it away or choose another name");
  return std::vector<ordered_json>(all.begin(), all.end());
}

}  // namespace

std::vector<CompileCommand> compile_commands_of(const std::string& directory, const std::vector<std::string>& arguments) {
  std::vector<std::string> sources;
  std::string output;
  bool has_compiled_only = false;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (is_among(word, options_without_compiling)) return {};
    if (word == "-c" || word == "-S") has_compiled_only = true;
    if (word == "-o" && i + 1 < arguments.size()) output = arguments[i + 1];
    else if (word.starts_with("-o") && word.size() > 2) output = word.substr(2);
    if (is_among(word, options_with_word)) ++i;
    else if (!word.starts_with('-') && is_source(word)) sources.push_back(word);
  }
  std::vector<CompileCommand> all;
  for (const std::string& source : sources) all.push_back({directory, source, has_compiled_only && sources.size() == 1 ? output : std::string(), arguments});
  return all;
}

Result<std::string> compile_commands_text(const std::string& path, std::string_view report) {
  const json told = json::parse(report, nullptr, false);
  if (!told.is_object()) return fail(Fault::invalid, path + ": not written, for the broker has not told what was compiled");
  std::map<Key, ordered_json> entries;
  try {
    for (const json& each : told.at("recipes").at("compilations"))
      for (const CompileCommand& command : compile_commands_of(each.at("directory"), each.at("arguments"))) {
        if (!is_there(command.directory, command.file)) continue;
        ordered_json entry{{"directory", command.directory}, {"arguments", command.arguments}, {"file", command.file}};
        if (!command.output.empty()) entry["output"] = command.output;
        entries[key_of(command)] = std::move(entry);
      }
  } catch (const json::exception& error) {
    return fail(Fault::invalid, std::string("what the broker has told of compilations cannot be read: ") + error.what());
  }
  for (ordered_json& entry : TRY(entries_in(path))) {
    CompileCommand command{entry["directory"], entry["file"], entry.value("output", std::string()), {}};
    if (is_there(command.directory, command.file)) entries.try_emplace(key_of(command), std::move(entry));
  }
  std::string text = "[";
  for (const auto& [key, entry] : entries) text += (text.size() == 1 ? "\n" : ",\n") + entry.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  return text + "\n]\n";
}

Result<bool> may_become_compile_commands(const std::string& path) {
  TRY(entries_in(path));
  const std::string directory = std::filesystem::path(path).parent_path().string();
  const bool is_there = ::access(path.c_str(), F_OK) == 0;
  if (::access(is_there ? path.c_str() : directory.empty() ? "." : directory.c_str(), W_OK) != 0) return fail(Fault::io, path + ": cannot be written: " + std::strerror(errno));
  return true;
}

}  // namespace makecompat
