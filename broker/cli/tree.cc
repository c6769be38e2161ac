// vestal tree add|show|ls|cat|diff|checkout
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cache_place.h"
#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/cli/tree.h"
#include "broker/tree/tree_reader.h"
#include "broker/wording.h"

namespace broker::cli {
namespace {

using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::Result;
using nlohmann::json;
using Words = std::vector<std::string>;

Result<cache::BlobStore> blobs_of_cache() {
  const std::string place = TRY(cache_place());
  if (::access((place + "/blobs").c_str(), F_OK) != 0) return fail(Fault::not_found, "there is no cache at " + place + " yet");
  return cache::BlobStore::open(place + "/blobs");
}

Result<bool> add(const Words& words) {
  std::error_code error;
  const std::string path = std::filesystem::absolute(words[0], error).string();
  const json added = json::parse(TRY(ask_broker(RequestKind::tree_add, path)), nullptr, false);
  if (!added.is_object()) return fail(Fault::io, "the broker's answer cannot be read");
  for (const json& one : added.at("left_out"))
    complain(fmt::format("left out: {}: {}", one.at("path").get<std::string>().empty() ? words[0] : one.at("path").get<std::string>(), one.at("what").get<std::string>()));
  fmt::print("{}/{}\n", added.at("digest").get<std::string>(), added.at("bytes").get<std::uint64_t>());
  return true;
}

Result<bool> show(const Words& words) {
  const cache::BlobStore blobs = TRY(blobs_of_cache());
  const Digest digest = TRY(digest_in(words[0]));
  const tree::Totals totals = TRY(tree::Reader(blobs).totals(digest));
  fmt::print("{}\n  {}, {}, {}, {}\n", digest.hex(), count_text(totals.files, "file", "files"), count_text(totals.directories, "directory", "directories"),
             count_text(totals.symlinks, "symbolic link", "symbolic links"), size_text(totals.bytes));
  return true;
}

// Mode, size, name, as `ls -l` orders them.
void list(const tree::Directory& directory) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const tree::File& each : directory.files) rows.emplace_back(each.name, fmt::format("- {:04o} {:>10}  {}", each.mode, each.bytes, each.name));
  for (const tree::Subdirectory& each : directory.directories) rows.emplace_back(each.name, fmt::format("d      {:>10}  {}/", "", each.name));
  for (const tree::Symlink& each : directory.symlinks) rows.emplace_back(each.name, fmt::format("l      {:>10}  {} -> {}", "", each.name, each.target));
  std::sort(rows.begin(), rows.end());
  for (const auto& [name, row] : rows) fmt::print("{}\n", row);
}

Result<bool> ls(const Words& words) {
  const cache::BlobStore blobs = TRY(blobs_of_cache());
  const auto found = TRY(tree::Reader(blobs).find(TRY(digest_in(words[0])), words.size() > 1 ? words[1] : "/"));
  if (const auto* directory = std::get_if<tree::Reader::FoundDirectory>(&found)) list(directory->contents);
  else list({.files = {std::get<tree::File>(found)}, .directories = {}, .symlinks = {}});
  return true;
}

Result<bool> cat(const Words& words) {
  const cache::BlobStore blobs = TRY(blobs_of_cache());
  const auto found = TRY(tree::Reader(blobs).find(TRY(digest_in(words[0])), words[1]));
  const auto* file = std::get_if<tree::File>(&found);
  if (!file) return fail(Fault::invalid, words[1] + ": a directory");
  // Nothing is shown that is not what its name says.
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> copy(std::tmpfile(), std::fclose);
  if (!copy) return fail(Fault::io, fmt::format("no temporary file: {}", std::strerror(errno)));
  TRY(blobs.copy_to(file->digest, ::fileno(copy.get())));
  std::rewind(copy.get());
  char piece[1 << 16];
  while (const std::size_t bytes = std::fread(piece, 1, sizeof piece, copy.get()))
    if (std::fwrite(piece, 1, bytes, stdout) != bytes) break;  // main tells
  if (std::ferror(copy.get())) return fail(Fault::io, words[1] + ": cannot be read");
  return true;
}

Result<bool> diff(const Words& words) {
  const cache::BlobStore blobs = TRY(blobs_of_cache());
  const Digest from = TRY(digest_in(words[0])), to = TRY(digest_in(words[1]));
  return tree::Reader(blobs).difference(from, to, [](char kind, const std::string& path) { fmt::print("{} {}\n", kind, path); });
}

Result<bool> checkout(const Words& words) {
  const cache::BlobStore blobs = TRY(blobs_of_cache());
  return tree::Reader(blobs).check_out(TRY(digest_in(words[0])), words[1]);
}

struct Act {
  const char* name;
  const char* synopsis;
  const char* purpose;
  std::size_t least, most;
  Result<bool> (*act)(const Words& words);
};
constexpr Act acts[] = {
    {"add", "DIR", "Stores what is in a directory, and prints the digest that names it from then on", 1, 1, add},
    {"show", "DIGEST", "How much is in a tree", 1, 1, show},
    {"ls", "DIGEST [PATH]", "What is in one of its directories", 1, 2, ls},
    {"cat", "DIGEST PATH", "The contents of a file", 2, 2, cat},
    {"diff", "DIGEST DIGEST", "What the second has otherwise: A added, D gone, M modified, T another kind of thing", 2, 2, diff},
    {"checkout", "DIGEST DIR", "Makes the tree at DIR, which must be empty or not be there", 2, 2, checkout},
};

int tree_command(const CommandOptions&, char* const* arguments) {
  std::string usage = "vestal tree ACT ...\n", name;
  Words names;
  for (const Act& act : acts) {
    usage += fmt::format("\n  {:<24}  {}", fmt::format("{} {}", act.name, act.synopsis), act.purpose);
    names.emplace_back(act.name);
  }
  Words words = words_of(arguments);
  if (words.empty() || words[0].starts_with('-')) {
    Options accepted(usage, "Immutable directory trees, each named by the digest of all that is in it.");
    for (const Act& act : acts) accepted.act(act.name, act.synopsis, act.purpose);
    if (const int status = accepted.parse(words); status >= 0) return status;
    return wrong_usage("tree: nothing to do; acts are add, show, ls, cat, diff, checkout");
  }
  const auto act = std::find_if(std::begin(acts), std::end(acts), [&](const Act& each) { return words[0] == each.name; });
  if (act == std::end(acts)) return wrong_usage("tree: unknown act '" + words[0] + "'" + suggestion(words[0], names));
  words.erase(words.begin());
  if (!words.empty() && words[0] == "--") words.erase(words.begin());
  if (words.size() < act->least || words.size() > act->most)
    return wrong_usage(fmt::format("tree {}: wants {}, not {}", act->name, act->synopsis, count_text(words.size(), "word", "words")));
  const auto done = act->act(words);
  if (done) return 0;
  complain(done.error().message);
  return done.error().fault == Fault::invalid || done.error().fault == Fault::not_found ? 1 : status_own_failure;
}

const Subcommand tree_subcommand("tree", "ACT ...", "Immutable trees: add, show, ls, cat, diff, checkout", tree_command);

}  // namespace

Result<Digest> digest_in(const std::string& word) {
  const std::size_t slash = word.find('/');
  const auto digest = Digest::from_hex(std::string_view(word).substr(0, slash));
  const bool has_size = slash == word.npos || (slash + 1 < word.size() && word.find_first_not_of("0123456789", slash + 1) == word.npos);
  if (!digest || !has_size) return fail(Fault::invalid, word + ": no digest of a tree: 64 hexadecimal digits, as `vestal tree add` prints them");
  return *digest;
}

}  // namespace broker::cli
