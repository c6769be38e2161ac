#include "broker/program_findings.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "broker/images/analysis.h"
#include "broker/images/closure.h"

namespace broker {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;
using images::Kind;

constexpr char findings_tag = 'P', contents_tag = 'A';
// Raise it when the same files give other findings, identities included.
constexpr std::uint32_t findings_version = 8;
constexpr int scripts_max = 4;  // an interpreter may be a script itself, so often
constexpr int attempts_max = 3;

// What follows from a file's bytes alone. Kept under their digest, so that a copy of a file, and a library
// that many programs use, are disassembled once.
struct Contents {
  Kind kind = Kind::not_a_program;
  std::string interpreter;
  std::string script_argument;
  OwnInstructions own;
  bool go = false;
  bool first = false;
};

std::string contents_row(const cache::Digest& digest) {
  return std::string(1, contents_tag).append(digest.view());
}

std::optional<Contents> decode_contents(std::string_view bytes) {
  auto reader = cache::SealedReader::open(bytes, contents_tag, "an analysis");
  if (!reader) return std::nullopt;
  Contents contents;
  reader->expect(reader->number<std::uint32_t>() == findings_version);
  const auto kind = reader->number<std::uint8_t>();
  reader->expect(kind <= static_cast<std::uint8_t>(Kind::not_a_program));
  contents.kind = Kind{kind};
  contents.interpreter = reader->text();
  contents.script_argument = reader->text();
  for (std::string* place : {&contents.own.calls, &contents.own.counter, &contents.own.random}) *place = reader->text();
  for (bool* flag : {&contents.go, &contents.first}) *flag = reader->number<std::uint8_t>() != 0;
  if (!reader->finished()) return std::nullopt;
  return contents;
}

bool is_system_library(std::string_view path, std::initializer_list<std::string_view> names) {
  for (const std::string_view directory : {"/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/"})
    if (path.starts_with(directory) && std::ranges::find(names, path.substr(directory.size())) != names.end()) return true;
  return false;
}

// Looked at by hand: libgomp waits on futexes by instructions of its own and asks nothing else; what looks like a call in
// libcrypto is a table of constants.
bool makes_harmless_calls(std::string_view path) { return is_system_library(path, {"libgomp.so.1", "libcrypto.so.3"}); }

// The generators of the first two begin with random numbers of the kernel's as well, which is seen; the others measure how
// fast they are when they are asked for that.
bool asks_processor_harmlessly(std::string_view path) {
  return is_system_library(path, {"libcrypto.so.3", "libgcrypt.so.20", "librhash.so.0", "libmemusage.so"});
}

Result<Contents> contents_of(const ProgramEvidence::File& file, cache::StepCache& cache) {
  const std::string row = contents_row(file.digest);
  if (const auto kept = cache.program_row(row)) {
    if (auto contents = decode_contents(*kept)) return std::move(*contents);
  }
  const images::ElfAnalysis analysis = TRY(images::analyse(file.path));
  Contents contents{analysis.kind, analysis.interpreter, analysis.script_argument, {}, analysis.go, analysis.first};
  if (analysis.raw_syscalls && !makes_harmless_calls(file.path))
    contents.own.calls = analysis.privileged || analysis.reason.empty() ? "somewhere" : analysis.reason;
  if (!asks_processor_harmlessly(file.path)) {
    contents.own.counter = analysis.counter;
    contents.own.random = analysis.random;
  }
  // What was analysed is what was hashed, if it has not been changed for a while and is not being changed
  // now.
  if (file.settled && look_through(file.path).identity() == file.facts.identity()) {
    cache::SealedWriter writer(contents_tag);
    writer.number(findings_version);
    writer.number(static_cast<std::uint8_t>(contents.kind));
    writer.text(contents.interpreter);
    writer.text(contents.script_argument);
    for (const std::string& place : {contents.own.calls, contents.own.counter, contents.own.random}) writer.text(place);
    for (const bool flag : {contents.go, contents.first}) writer.number(static_cast<std::uint8_t>(flag));
    cache.set_program_row(row, std::move(writer).seal());
  }
  return contents;
}

class Search {
 public:
  Search(const std::string& library_path, const View& view, cache::StepCache& cache)
      : library_path_(library_path), view_(view), cache_(cache) {}

  Result<ProgramFindings> run(const std::string& path) {
    TRY(examine(path, 0));
    found_.identity = identity_.finish();
    if (!found_.evidence.is_untouched())
      return fail(Fault::changed, path + ": changes while it is looked at");
    return std::move(found_);
  }

 private:
  // Says what cannot be traced, and that the identity does not cover more.
  bool untraced(std::string reason) {
    found_.untraced = true;
    found_.reason = std::move(reason);
    return true;
  }
  bool untraced_for_now(std::string reason) {
    found_.evidence.does_not_last();
    return untraced(std::move(reason));
  }
  void spoils(std::string reason) {
    if (found_.spoils.empty()) found_.spoils = std::move(reason);
  }

  void spoils_if_privileged(const std::string& path, const PathFacts& facts, const ProgramEvidence::File& file) {
    if (facts.mode & (S_ISUID | S_ISGID)) spoils(path + ": set-user-ID or set-group-ID, run without its privileges");
    if (file.has_capabilities) spoils(path + ": has file capabilities, run without its privileges");
  }

  void note_own_instructions(const Contents& contents) {
    if (found_.counter.empty()) found_.counter = contents.own.counter;
    if (found_.random.empty()) found_.random = contents.own.random;
  }

  // They are trapped.
  void note_own_calls(const Contents& contents) {
    note_own_instructions(contents);
    // A library. Go's run time takes a signal's handler that is on a stack of the shim's for one on a foreign thread.
    if (contents.go) spoils(found_.real_path + ": has a library with system calls of Go's, which are not trapped");
    else found_.traps = found_.traps || !contents.own.calls.empty();
  }

  Result<bool> examine(const std::string& path, int depth);
  Result<bool> examine_loader(const std::string& loader);
  Result<bool> examine_libraries(const std::string& path);

  const std::string& library_path_;
  const View& view_;
  cache::StepCache& cache_;
  ProgramFindings found_;
  cache::Hasher identity_;
};

Result<bool> Search::examine(const std::string& path, int depth) {
  const PathFacts facts = look_through(path);
  if (facts.type == FileType::absent || facts.type == FileType::error) {
    const int reason = facts.error ? facts.error : ENOENT;
    if (depth == 0)
      return fail(facts.error ? Fault::io : Fault::not_found,
                  fmt::format("{}: {}", path, std::strerror(reason)));
    identity_.add_piece("no interpreter");
    return untraced_for_now(fmt::format("its interpreter {}: {}", path, std::strerror(reason)));
  }
  if (facts.type != FileType::regular) {
    identity_.add_piece("no file");
    return untraced_for_now(path + ": not a regular file");
  }
  found_.real_path = TRY(found_.evidence.add_resolution(path));
  const auto file = found_.evidence.add_file(view_, path);
  if (!file) {
    identity_.add_piece("unreadable");
    return untraced_for_now(file.error().message);
  }
  const auto contents = contents_of(*file, cache_);
  if (!contents) {
    identity_.add_piece("contradictory");
    identity_.add(file->digest.view());
    return untraced_for_now(contents.error().message);
  }
  identity_.add_piece(images::name_of(contents->kind));
  identity_.add(file->digest.view());
  if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0)
    return untraced_for_now(path + ": may not be executed");

  switch (contents->kind) {
    case Kind::script:
      break;
    case Kind::dynamic_glibc:
      found_.loader = contents->interpreter;
      spoils_if_privileged(path, facts, *file);
      found_.static_digest = file->digest;
      found_.copied = contents->go;
      if (found_.copied) note_own_instructions(*contents);
      else note_own_calls(*contents);
      return examine_libraries(path);
    case Kind::static_program:
      found_.is_static = true;
      found_.static_digest = file->digest;
      spoils_if_privileged(path, facts, *file);
      note_own_instructions(*contents);
      return true;
    case Kind::foreign:
      if (contents->interpreter.empty()) return untraced(path + ": not an x86-64 program");
      found_.is_static = true;
      found_.static_digest = file->digest;
      spoils_if_privileged(path, facts, *file);
      note_own_instructions(*contents);
      return examine_loader(contents->interpreter);
    case Kind::shared_object:
      return untraced(path + ": a library run as a program");
    case Kind::not_a_program:
      return untraced(path + ": not a program");
  }
  if (depth == 0) found_.script = found_.real_path;
  identity_.add_piece(contents->interpreter);
  if (!contents->interpreter.starts_with('/'))
    return untraced(
        fmt::format("{}: its interpreter {} depends on the working directory", path, contents->interpreter));
  if (!contents->script_argument.empty()) found_.script_prefix.insert(found_.script_prefix.begin(), contents->script_argument);
  found_.script_prefix.insert(found_.script_prefix.begin(), contents->interpreter);
  if (depth == scripts_max) return untraced(path + ": too many interpreters of interpreters");
  return examine(contents->interpreter, depth + 1);
}

// One that is not glibc's, or not where it belongs. It is part of the program, and what it loads is seen as it does so.
Result<bool> Search::examine_loader(const std::string& loader) {
  if (!loader.starts_with('/')) return untraced(found_.real_path + ": its loader " + loader + " depends on the working directory");
  const auto file = found_.evidence.add_file(view_, loader);
  if (!file) return untraced_for_now(file.error().message);
  identity_.add_piece(loader);
  identity_.add(file->digest.view());
  const auto contents = contents_of(*file, cache_);
  if (!contents || contents->kind != Kind::shared_object) return untraced(found_.real_path + ": its loader " + loader + " is no library of this machine");
  return true;
}

Result<bool> Search::examine_libraries(const std::string& path) {
  ProgramEvidence& evidence = found_.evidence;
  const auto loader = evidence.add_file(view_, found_.loader);
  if (!loader) return untraced_for_now(loader.error().message);
  identity_.add(loader->digest.view());
  evidence.add_file_or_absence(view_, "/etc/ld.so.cache");
  evidence.add_file_or_absence(view_, "/etc/ld.so.preload");

  const auto closure = images::library_closure(found_.real_path, library_path_);
  if (!closure) {
    identity_.add_piece("no closure");
    return untraced_for_now(closure.error().message);
  }
  for (const std::string& absent : closure->absent) {
    if (!absent.starts_with('/')) return untraced(path + ": looks for libraries in the working directory");
    evidence.add_absence(absent);
  }
  for (const std::string& library : closure->libraries) {
    if (!library.starts_with('/')) return untraced(path + ": looks for libraries in the working directory");
    const auto file = evidence.add_file(view_, library);
    if (!file) return untraced_for_now(file.error().message);
    identity_.add_piece(library);
    identity_.add(file->digest.view());
    // It ends the program if another library comes before it, as the shim does.
    if (library.substr(library.rfind('/') + 1).starts_with("libasan.so")) found_.is_static = true;
    // libc itself is replaced by its image.
    if (library.ends_with("/libc.so.6")) continue;
    const auto contents = contents_of(*file, cache_);
    if (!contents) return untraced_for_now(contents.error().message);
    note_own_calls(*contents);
    if (contents->first) spoils(library + ": its constructors run before vestal's");
  }
  for (const std::string& missing : closure->missing) {
    identity_.add_piece("missing");
    identity_.add_piece(missing);
  }
  found_.libraries = closure->libraries;
  if (!closure->missing.empty())
    return untraced(fmt::format("{}: needs {}, which is missing", path, closure->missing.front()));
  return true;
}

}  // namespace

std::string ProgramFindings::encode() const {
  cache::SealedWriter writer(findings_tag);
  writer.number(findings_version);
  writer.text(real_path);
  writer.text(script);
  writer.digest(identity);
  writer.number(static_cast<std::uint8_t>(untraced));
  writer.text(reason);
  for (const std::string& text : {spoils, counter, random}) writer.text(text);
  writer.text(loader);
  writer.count(libraries.size());
  for (const std::string& library : libraries) writer.text(library);
  writer.number(static_cast<std::uint8_t>(traps));
  writer.number(static_cast<std::uint8_t>(copied));
  writer.number(static_cast<std::uint8_t>(is_static));
  writer.digest(static_digest);
  writer.count(script_prefix.size());
  for (const std::string& word : script_prefix) writer.text(word);
  evidence.encode(writer);
  return std::move(writer).seal();
}

std::optional<ProgramFindings> ProgramFindings::decode(std::string_view bytes) {
  auto reader = cache::SealedReader::open(bytes, findings_tag, "what is known of a program");
  if (!reader) return std::nullopt;
  ProgramFindings found;
  reader->expect(reader->number<std::uint32_t>() == findings_version);
  found.real_path = reader->text();
  found.script = reader->text();
  found.identity = reader->digest();
  found.untraced = reader->number<std::uint8_t>() != 0;
  found.reason = reader->text();
  for (std::string* text : {&found.spoils, &found.counter, &found.random}) *text = reader->text();
  found.loader = reader->text();
  for (std::size_t left = reader->count(4); left > 0; --left) found.libraries.emplace_back(reader->text());
  found.traps = reader->number<std::uint8_t>() != 0;
  found.copied = reader->number<std::uint8_t>() != 0;
  found.is_static = reader->number<std::uint8_t>() != 0;
  found.static_digest = reader->digest();
  for (std::size_t left = reader->count(4); left > 0; --left) found.script_prefix.emplace_back(reader->text());
  found.evidence = ProgramEvidence::decode(*reader);
  if (!reader->finished()) return std::nullopt;
  return found;
}

Result<ProgramFindings> find_out(const std::string& path, const std::string& library_path, const View& view,
                                 cache::StepCache& cache) {
  for (int attempt = 1;; ++attempt) {
    auto found = Search(library_path, view, cache).run(path);
    if (found || found.error().fault != Fault::changed || attempt == attempts_max) return found;
  }
}

Result<OwnInstructions> own_instructions(const std::string& path, const View& view, cache::StepCache& cache) {
  ProgramEvidence evidence;
  const auto file = TRY(evidence.add_file(view, path));
  Contents contents = TRY(contents_of(file, cache));
  if (contents.kind == Kind::script || contents.kind == Kind::not_a_program || contents.kind == Kind::foreign)
    return fail(Fault::unsupported, path + ": not a library");
  return std::move(contents.own);
}

}  // namespace broker
