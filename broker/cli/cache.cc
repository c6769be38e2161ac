// vestal cache verify, clear, export, import
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cache_archive.h"
#include "broker/cache_clear.h"
#include "broker/cache_place.h"
#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/control.h"
#include "cache/blob_store.h"

namespace broker::cli {
namespace {

using cache::Fault;
using cache::Result;
using cache::fail;
using Words = std::vector<std::string>;

struct Wanted {
  bool keep = false, compress = false;
  std::string file;
};

Result<int> verify(const std::string& place, const Wanted& wanted) {
  CheckRequest request;
  request.removes = !wanted.keep;
  const auto told = nlohmann::json::parse(TRY(ask_broker(RequestKind::check, std::string(reinterpret_cast<const char*>(&request), sizeof request))), nullptr, false);
  const char* const end = wanted.keep ? "" : "; removed";
  std::uint64_t files = 0, bytes = 0, damaged = 0;
  const auto blobs = TRY(cache::BlobStore::open(place + "/blobs", cache::BlobStore::Notes::none));
  std::vector<cache::BlobStore::Kept> all;
  blobs.each([&](const cache::BlobStore::Kept& blob) { all.push_back(blob); });
  std::ranges::sort(all, {}, &cache::BlobStore::Kept::digest);
  for (const cache::BlobStore::Kept& blob : all) {
    const auto looked = blobs.look_through(blob.digest, [](std::string_view) { return true; });
    if (!looked && looked.error().fault == Fault::not_found) continue;  // gone meanwhile
    ++files;
    if (looked) {
      bytes += *looked;
      continue;
    }
    ++damaged;
    // What cannot be read today may be tomorrow.
    const bool is_to_go = !wanted.keep && looked.error().fault == Fault::corrupt;
    if (is_to_go) blobs.remove(blob.digest);
    fmt::print("{}{}\n", looked.error().message, is_to_go ? end : "");
  }
  std::uint64_t rows = 0;
  try {
    rows = told.at("rows");
    for (const auto& what : told.at("damaged")) {
      ++damaged;
      fmt::print("{}/index: {} is damaged{}\n", place, what.get<std::string>(), end);
    }
  } catch (const nlohmann::json::exception&) {
    return fail(Fault::io, "the broker's answer cannot be read");
  }
  fmt::print("{} ({}) and {} of the index: {}\n", count_text(files, "stored file", "stored files"), size_text(bytes), count_text(rows, "row", "rows"),
             damaged == 0 ? "all sound" : fmt::format("{} damaged", damaged));
  return damaged == 0 ? 0 : 1;
}

Result<int> clear(const std::string& place, const Wanted&) {
  const Cleared cleared = TRY(clear_cache(place));
  fmt::print("Removed {} of {}\n", size_text(cleared.bytes), place);
  for (const std::string& name : cleared.left) fmt::print("{}/{} is no part of the cache and stays\n", place, name);
  return 0;
}

Result<int> export_to(const std::string& place, const Wanted& wanted) {
  if (wanted.file == "-" && ::isatty(1)) return fail(Fault::invalid, "cache export: an archive does not belong on a terminal; name a file");
  const Carried carried = TRY(export_cache(place, wanted.file, wanted.compress || wanted.file.ends_with(".zst")));
  // Standard output is the archive, perhaps.
  if (wanted.file != "-") fmt::print("Exported {}, {} ({})\n", count_text(carried.results, "result", "results"), count_text(carried.blobs, "stored file", "stored files"), size_text(carried.bytes));
  return 0;
}

Result<int> import_from(const std::string& place, const Wanted& wanted) {
  const Carried carried = TRY(import_cache(place, wanted.file));
  fmt::print("Imported {} of {}, {} of {} ({})\n", carried.new_results, count_text(carried.results, "result", "results"), carried.new_blobs,
             count_text(carried.blobs, "stored file", "stored files"), size_text(carried.bytes));
  return 0;
}

struct Act {
  const char* name;
  const char* synopsis;
  const char* purpose;
  bool wants_file;
  Result<int> (*act)(const std::string& place, const Wanted& wanted);
};
constexpr Act acts[] = {
    {"verify", "[--keep]", "Reads all that is stored, lists and removes what is damaged; 1 if something was", false, verify},
    {"clear", "", "Removes the cache; not while a command runs with it", false, clear},
    {"export", "FILE", "Writes results and what belongs to them into an archive; - is standard output", true, export_to},
    {"import", "FILE", "Adds what is in such an archive; - is standard input", true, import_from},
};

int cache_command(const CommandOptions&, char* const* arguments) {
  std::string usage = "vestal cache ACT ...\n";
  Words names;
  for (const Act& act : acts) {
    usage += fmt::format("\n  {:<24}  {}", fmt::format("{} {}", act.name, act.synopsis), act.purpose);
    names.emplace_back(act.name);
  }
  Words words = words_of(arguments);
  const bool has_act = !words.empty() && !words[0].starts_with('-');
  const auto act = has_act ? std::ranges::find(acts, words[0], [](const Act& each) { return std::string_view(each.name); }) : std::end(acts);
  if (has_act && act == std::end(acts)) return wrong_usage("cache: unknown act '" + words[0] + "'" + suggestion(words[0], names));
  if (has_act) words.erase(words.begin());
  Wanted wanted;
  if (has_act && act->wants_file && !words.empty() && (words.back() == "-" || !words.back().starts_with('-'))) {
    wanted.file = words.back();
    words.pop_back();
  }
  Options accepted(usage, "Looks after the cache as a whole.");
  if (!has_act || act->act == verify) accepted.flag("--keep", wanted.keep, "Of verify: only lists what is damaged");
  if (!has_act || act->act == export_to) accepted.flag("--compress", wanted.compress, "Of export: with zstd, as for a FILE that ends in .zst");
  if (const int status = accepted.parse(words); status >= 0) return status;
  if (!has_act) return wrong_usage("cache: nothing to do; acts are verify, clear, export, import");
  if (act->wants_file && wanted.file.empty()) return wrong_usage(fmt::format("cache {}: wants FILE, or - for standard {}", act->name, act->act == export_to ? "output" : "input"));
  const auto status = cache_place().and_then([&](const std::string& place) { return act->act(place, wanted); });
  if (status) return *status;
  complain(status.error().message);
  return status.error().fault == Fault::invalid ? 1 : status_own_failure;
}

const Subcommand cache_subcommand("cache", "ACT ...", "The cache as a whole: verify, clear, export, import", cache_command);

}  // namespace
}  // namespace broker::cli
