#include "cache/record.h"

#include <algorithm>
#include <cassert>
#include <functional>

#include "cache/sealed_bytes.h"

// Fields in the order in which they are written, after the tag and version and before the seal that
// cache/sealed_bytes.h draws. Anything changed here makes another record_version.
//
//   NeedSet     'n'  list of: kind 8, detail 32, shared 8, text
//                    `shared` is how many bytes a name's text has in common with the one before, as many as
//                    there are but at most 255; only what follows them is written. Most names are paths in
//                    few directories.
//   StepResult  'r'  status 32, wall_ns 64,
//                    list of changes: what 8, flags 8, mode 32, bytes 64, mtime_ns 64, content 256, path,
//                    text, moved_from list of streams: fd 32, bytes list of positions: fd 32, offset 64
//   LastRun     'l'  when_ns 64, need_set 256, program, directory, not_stored, list of arguments, list of
//   values
//   RecipeRun   'j'  when_ns 64, level 32, command 256, variables 256, list of contexts 256, target, directory, problem, list of listings: directory, digest 256;
//                    need set (an encoding of its own), list of values, list of changes

namespace cache {
namespace {

constexpr std::size_t text_bytes_min = 4;
constexpr std::size_t need_bytes_min = 1 + 4 + 1 + text_bytes_min;
constexpr std::size_t change_bytes_min = 1 + 1 + 4 + 8 + 8 + 32 + 2 * text_bytes_min;
constexpr std::size_t stream_bytes_min = 4 + text_bytes_min;
constexpr std::size_t listing_bytes_min = text_bytes_min + 32;
constexpr std::size_t position_bytes_min = 4 + 8;

enum ChangeFlag : std::uint8_t { flag_fresh = 1, flag_mode_set = 2, flag_times_set = 4, flags_known = 7 };

bool ascends(const NeedSet& names) {
  return std::adjacent_find(names.begin(), names.end(), std::greater_equal<>()) == names.end();
}

std::uint8_t shared_bytes(std::string_view before, std::string_view text) {
  const std::size_t most = std::min({before.size(), text.size(), std::size_t{255}});
  return static_cast<std::uint8_t>(std::mismatch(text.begin(), text.begin() + most, before.begin()).first -
                                   text.begin());
}

void write_change(SealedWriter& writer, const Change& change) {
  writer.number(static_cast<std::uint8_t>(change.what));
  writer.number(static_cast<std::uint8_t>((change.fresh ? flag_fresh : 0) |
                                          (change.mode_set ? flag_mode_set : 0) |
                                          (change.times_set ? flag_times_set : 0)));
  writer.number(change.mode);
  writer.number(change.bytes);
  writer.number(change.mtime_ns);
  writer.digest(change.content);
  writer.text(change.path);
  writer.text(change.text);
  writer.text(change.moved_from);
}

void read_change(SealedReader& reader, Change& change) {
  const auto what = reader.number<std::uint8_t>(), flags = reader.number<std::uint8_t>();
  reader.expect(what >= static_cast<std::uint8_t>(Change::What::file) &&
                what <= static_cast<std::uint8_t>(Change::What::attributes) && flags <= flags_known);
  change.what = static_cast<Change::What>(what);
  change.fresh = flags & flag_fresh;
  change.mode_set = flags & flag_mode_set;
  change.times_set = flags & flag_times_set;
  change.mode = reader.number<std::uint32_t>();
  change.bytes = reader.number<std::uint64_t>();
  change.mtime_ns = reader.number<std::int64_t>();
  change.content = reader.digest();
  change.path = reader.text();
  change.text = reader.text();
  change.moved_from = reader.text();
}

void write_texts(SealedWriter& writer, const std::vector<std::string>& texts) {
  writer.count(texts.size());
  for (const std::string& text : texts) writer.text(text);
}

void read_texts(SealedReader& reader, std::vector<std::string>& texts) {
  texts.resize(reader.count(text_bytes_min));
  for (std::string& text : texts) text = reader.text();
}

}  // namespace

Digest digest_of(const NeedSet& names) { return digest_of(encode(names)); }

Digest digest_of(const NeedValues& values) {
  SealedWriter writer('v');
  write_texts(writer, values);
  return writer.digest_of_all();
}

std::string encode(const NeedSet& names) {
  assert(ascends(names));
  SealedWriter writer('n');
  writer.count(names.size());
  std::string_view before;
  for (const NeedName& name : names) {
    const std::uint8_t shared = shared_bytes(before, name.text);
    writer.number(static_cast<std::uint8_t>(name.kind));
    writer.number(name.detail);
    writer.number(shared);
    writer.text(std::string_view(name.text).substr(shared));
    before = name.text;
  }
  return std::move(writer).seal();
}

Result<NeedSet> decode_need_set(std::string_view bytes) {
  SealedReader reader = TRY(SealedReader::open(bytes, 'n', "a need set"));
  NeedSet names(reader.count(need_bytes_min));
  std::string_view before;
  for (NeedName& name : names) {
    const auto kind = reader.number<std::uint8_t>();
    reader.expect(kind >= static_cast<std::uint8_t>(NeedKind::path) &&
                  kind <= static_cast<std::uint8_t>(NeedKind::same_files));
    name.kind = static_cast<NeedKind>(kind);
    name.detail = reader.number<std::uint32_t>();
    const auto shared = reader.number<std::uint8_t>();
    const std::string_view rest = reader.text();
    name.text.reserve(shared + rest.size());
    name.text.append(before.substr(0, shared)).append(rest);
    reader.expect(shared_bytes(before, name.text) == shared);
    before = name.text;
  }
  if (!reader.finished() || !ascends(names)) return reader.damaged();
  return names;
}

std::string encode(const StepResult& result) {
  SealedWriter writer('r');
  writer.number(result.status);
  writer.number(result.wall_ns);
  writer.count(result.changes.size());
  for (const Change& change : result.changes) write_change(writer, change);
  writer.count(result.streams.size());
  for (const StreamPiece& piece : result.streams) {
    writer.number(piece.fd);
    writer.text(piece.bytes);
  }
  writer.count(result.positions.size());
  for (const FilePosition& position : result.positions) {
    writer.number(position.fd);
    writer.number(position.offset);
  }
  return std::move(writer).seal();
}

Result<StepResult> decode_step_result(std::string_view bytes) {
  SealedReader reader = TRY(SealedReader::open(bytes, 'r', "a result"));
  StepResult result;
  result.status = reader.number<std::int32_t>();
  result.wall_ns = reader.number<std::uint64_t>();
  result.changes.resize(reader.count(change_bytes_min));
  for (Change& change : result.changes) read_change(reader, change);
  result.streams.resize(reader.count(stream_bytes_min));
  for (StreamPiece& piece : result.streams) {
    piece.fd = reader.number<std::uint32_t>();
    piece.bytes = reader.text();
  }
  result.positions.resize(reader.count(position_bytes_min));
  for (FilePosition& position : result.positions) {
    position.fd = reader.number<std::uint32_t>();
    position.offset = reader.number<std::int64_t>();
  }
  if (!reader.finished()) return reader.damaged();
  return result;
}

std::string encode(const LastRun& run) {
  SealedWriter writer('l');
  writer.number(run.when_ns);
  writer.digest(run.need_set);
  writer.text(run.program);
  writer.text(run.directory);
  writer.text(run.not_stored);
  write_texts(writer, run.arguments);
  write_texts(writer, run.values);
  return std::move(writer).seal();
}

Result<LastRun> decode_last_run(std::string_view bytes) {
  SealedReader reader = TRY(SealedReader::open(bytes, 'l', "the note of a run"));
  LastRun run;
  run.when_ns = reader.number<std::int64_t>();
  run.need_set = reader.digest();
  run.program = reader.text();
  run.directory = reader.text();
  run.not_stored = reader.text();
  read_texts(reader, run.arguments);
  read_texts(reader, run.values);
  if (!reader.finished()) return reader.damaged();
  return run;
}

std::string encode(const RecipeRun& run) {
  SealedWriter writer('j');
  writer.number(run.when_ns);
  writer.number(run.level);
  writer.digest(run.command);
  writer.digest(run.variables);
  writer.count(run.contexts.size());
  for (const Digest& context : run.contexts) writer.digest(context);
  writer.text(run.target);
  writer.text(run.directory);
  writer.text(run.problem);
  writer.count(run.listings.size());
  for (const auto& [directory, names] : run.listings) {
    writer.text(directory);
    writer.digest(names);
  }
  writer.text(encode(run.names));
  write_texts(writer, run.values);
  writer.count(run.changes.size());
  for (const Change& change : run.changes) write_change(writer, change);
  return std::move(writer).seal();
}

Result<RecipeRun> decode_recipe_run(std::string_view bytes) {
  SealedReader reader = TRY(SealedReader::open(bytes, 'j', "the note of a recipe"));
  RecipeRun run;
  run.when_ns = reader.number<std::int64_t>();
  run.level = reader.number<std::uint32_t>();
  run.command = reader.digest();
  run.variables = reader.digest();
  run.contexts.resize(reader.count(32));
  for (Digest& context : run.contexts) context = reader.digest();
  run.target = reader.text();
  run.directory = reader.text();
  run.problem = reader.text();
  run.listings.resize(reader.count(listing_bytes_min));
  for (auto& [directory, names] : run.listings) {
    directory = reader.text();
    names = reader.digest();
  }
  const std::string_view names = reader.text();
  read_texts(reader, run.values);
  run.changes.resize(reader.count(change_bytes_min));
  for (Change& change : run.changes) read_change(reader, change);
  if (!reader.finished()) return reader.damaged();
  run.names = TRY(decode_need_set(names));
  if (run.names.size() != run.values.size()) return reader.damaged();
  return run;
}

}  // namespace cache
