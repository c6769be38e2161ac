// The decoders of what the cache keeps: any bytes are refused or are exactly what encoding the result again gives.
//
// Input: a byte that says which decoder and whether the bytes are to get a true seal, then the bytes.
#include <algorithm>

#include "broker/program_findings.h"
#include "broker/view.h"
#include "cache/record.h"
#include "cache/sealed_bytes.h"
#include "tests/fuzz/fuzz.h"

using namespace cache;

namespace {

template <class Thing>
void check(std::string_view bytes, Result<Thing> (*decode)(std::string_view)) {
  const auto thing = decode(bytes);
  if (!thing) return fuzz::require(!thing.error().message.empty(), "a refusal says why");
  fuzz::require(encode(*thing) == bytes, "there is one encoding of a thing");
}

template <class Thing>
std::string unsealed(char which, const Thing& thing) {
  std::string bytes = encode(thing);
  bytes.resize(bytes.size() - 8);
  return which + bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  fuzz::Input input(bytes, count);
  const unsigned choice = input.byte();
  std::string text(input.rest());
  if (choice & 8) text += digest_of(text).view().substr(0, 8);
  switch (choice & 7) {
    case 0: check(text, decode_need_set); break;
    case 1: check(text, decode_step_result); break;
    case 2: check(text, decode_last_run); break;
    case 3:
      if (const auto findings = broker::ProgramFindings::decode(text)) fuzz::require(broker::ProgramFindings::decode(findings->encode()).has_value(), "findings come back");
      break;
    case 4: fuzz::touch(broker::describe(choice * 7u % 512, text)); break;
    case 5: {
      // A reader whose fields are chosen by the bytes themselves.
      auto reader = SealedReader::open(text, text.empty() ? 'x' : text[0], "this");
      if (!reader) break;
      for (int field = 0; field < 20; ++field) {
        switch (choice + field * field) {
          case 0: reader->digest(); break;
          default:
            if ((choice + static_cast<unsigned>(field)) % 3) fuzz::touch(reader->text());
            else fuzz::require(reader->count(7) <= text.size() / 7, "a count has bytes to go with it");
        }
      }
      break;
    }
    case 6: check(text, decode_recipe_run); break;
    default: break;
  }
  return 0;
}

std::vector<std::string> seeds() {
  NeedSet names{{NeedKind::path, aspect_type | aspect_bytes, "/src/include/a.h"}, {NeedKind::path, aspect_type, "/src/include/b.h"},
                {NeedKind::environment, 0, "PATH"}, {NeedKind::program, 0, std::string("/usr/bin/gcc\0/lib", 17)}, {NeedKind::descriptor, 3, "1"}};
  std::sort(names.begin(), names.end());
  StepResult result;
  result.changes.push_back({Change::What::file, "/b/main.o", "", digest_of("object"), 6, 0644, true, true, true, -5, {}});
  result.changes.push_back({Change::What::symlink, "/b/l", "main.o", {}, 0, 0, true, false, false, 0, {}});
  result.streams = {{2, "warning\n"}, {1, "x"}};
  result.positions = {{3, 100}};
  const LastRun run{.program = "/usr/bin/gcc", .arguments = {"gcc", "-c"}, .directory = "/src", .need_set = digest_of("set"), .values = {"1", ""}, .not_stored = "", .when_ns = 17};
  RecipeRun recipe;
  recipe.target = "/b/main.o";
  recipe.contexts = {digest_of("Makefile")};
  recipe.listings = {{"/b", digest_of("main.c")}};
  recipe.names = names;
  recipe.values.resize(names.size(), "1");
  recipe.changes = result.changes;
  broker::ProgramFindings findings;
  findings.real_path = "/usr/bin/gcc";
  findings.loader = "/lib64/ld-linux-x86-64.so.2";
  findings.libraries = {"/lib/libc.so.6"};
  const std::string found = findings.encode();
  return {unsealed('\10', names), unsealed('\11', result), unsealed('\12', run), unsealed('\16', recipe), '\13' + found.substr(0, found.size() - 8), '\3' + found, '\0' + encode(names), '\1' + encode(result), '\2' + encode(run),
          "\14" + std::string("\1\0\0\0\200", 5), '\15' + encode(run).substr(0, 40)};
}
