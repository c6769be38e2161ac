// The path table against realpath(3): while a small tree changes, whatever way a path is spelled, both say the same.
//
// Input: a byte per act. Acts make, remove and move names of the tree and tell the table, or spell a path.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <filesystem>

#include "broker/path_table.h"
#include "tests/broker/images/scratch.h"
#include "tests/broker/world.h"
#include "tests/fuzz/fuzz.h"

namespace fs = std::filesystem;

namespace {

struct World {
  scratch::Directory directory;
  world::Cache cache{directory.at("cache")};
  std::string root;
  World() {
    fs::create_directory(directory.at("tree"));
    root = fs::canonical(directory.at("tree"));
  }
};

constexpr const char* names[] = {"a", "b", "c", "d"};
constexpr const char* words[] = {"a", "b", "c", "d", ".", "..", "", "ab"};

std::string spell(fuzz::Input& input) {
  std::string text;
  const unsigned count = 1 + input.byte() % 6;
  for (unsigned i = 0; i < count; ++i) {
    const unsigned choice = input.byte();
    if (i) text += choice & 8 ? "//" : "/";
    text += words[choice & 7];
    if (choice & 16) text += '/';
  }
  return text;
}

void compare(broker::PathTable& table, const World& world, const std::string& spelled) {
  if (spelled.empty()) return;
  // An empty first word makes it absolute, and a name of the root is none of the tree's.
  const std::string full = spelled.starts_with('/') ? spelled : world.root + "/" + spelled;
  char real[PATH_MAX];
  const char* const found = ::realpath(full.c_str(), real);
  const broker::Resolution resolution = table.resolve(table.intern(world.root), spelled, true);
  const std::string& text = table.text(resolution.path);
  fuzz::require(text.starts_with('/') && text.find("//") == text.npos && (text == "/" || !text.ends_with('/')), "a resolved path is plain");
  if (found) {
    if (!resolution.complete || text != found) {
      std::fprintf(stderr, "%s: realpath says %s, the table %s%s\n", full.c_str(), found, text.c_str(), resolution.complete ? "" : " (incomplete)");
      fuzz::require(false, "the table says what realpath says");
    }
    const broker::Resolution again = table.resolve(table.intern("/"), text, true);
    fuzz::require(again.complete && table.text(again.path) == text, "a resolved path resolves to itself");
  } else if (resolution.complete && !spelled.ends_with('/') && !spelled.ends_with("/.")) {
    struct stat status;
    fuzz::require(::lstat(text.c_str(), &status) != 0, "what realpath does not find is not there");
  }
  // Without following, the last component stays as it is: the directory around it is what realpath says of it.
  const std::size_t slash = full.rfind('/');
  const std::string last = full.substr(slash + 1);
  if (last.empty() || last == "." || last == ".." || slash == 0) return;
  if (!::realpath(full.substr(0, slash).c_str(), real) || !fs::is_directory(real)) return;
  const broker::Resolution kept = table.resolve(table.intern(world.root), spelled, false);
  const std::string wanted = (std::string_view(real) == "/" ? std::string() : std::string(real)) + "/" + last;
  if (!kept.complete || table.text(kept.path) != wanted) std::fprintf(stderr, "%s: should be %s, is %s\n", full.c_str(), wanted.c_str(), table.text(kept.path).c_str());
  fuzz::require(kept.complete && table.text(kept.path) == wanted, "the last component is not followed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  static World world;
  for (const auto& entry : fs::directory_iterator(world.root)) fs::remove_all(entry.path());
  broker::PathTable table(*world.cache.parts.view);
  fuzz::Input input(bytes, std::min<std::size_t>(count, 200));
  std::error_code error;
  while (!input.empty()) {
    const unsigned act = input.byte();
    const std::string directory = act & 8 ? world.root : world.root + "/" + names[act >> 4 & 3];
    const std::string path = directory + "/" + names[act >> 6];
    // What a session tells is the resolved name of what changed, so a change under a name that is a link is made elsewhere.
    if ((act & 7) < 5 && (fs::is_symlink(directory) || !fs::is_directory(directory))) continue;
    bool moves = true, changed = true;
    switch (act & 7) {
      case 0: changed = ::mkdir(path.c_str(), 0777) == 0; break;
      case 1: {
        const std::string target = spell(input);
        changed = !target.empty() && ::symlink((act & 32 && !target.starts_with('/') ? world.root + "/" + target : target).c_str(), path.c_str()) == 0;
        break;
      }
      case 2: {
        const cache::OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666));
        changed = static_cast<bool>(file);
        moves = false;
        break;
      }
      case 3: {
        struct stat status;
        moves = ::lstat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
        changed = fs::remove_all(path, error) > 0;
        break;
      }
      case 4: {
        const std::string to = world.root + "/" + names[input.byte() & 3];
        struct stat status;
        moves = ::lstat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
        const bool moved_over = ::lstat(to.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
        changed = ::rename(path.c_str(), to.c_str()) == 0;
        if (changed) table.changed(table.intern(to), moves || moved_over);
        break;
      }
      default: compare(table, world, spell(input)); continue;
    }
    if (changed) table.changed(table.intern(path), moves);
  }
  return 0;
}

std::vector<std::string> seeds() {
  auto act = [](unsigned kind, unsigned directory, unsigned name) { return static_cast<char>(kind | (directory ? (directory - 1) << 4 : 8u) | name << 6); };
  std::string tree;
  tree += act(0, 0, 0);
  tree += act(0, 1, 1);
  tree += act(2, 1, 2);
  tree += act(1, 0, 2), tree += std::string("\1\0\1", 3);
  tree += act(5, 0, 0), tree += std::string("\2\2\5\1", 4);
  std::string loop;
  loop += act(1, 0, 0), loop += std::string("\0\1", 2);
  loop += act(1, 0, 1), loop += std::string("\0\0", 2);
  loop += act(5, 0, 0), loop += std::string("\1\0\2", 3);
  std::string moved = tree;
  moved += act(4, 0, 0), moved += '\3';
  moved += act(5, 0, 0), moved += std::string("\2\2\1\2", 4);
  moved += act(3, 0, 3);
  moved += act(5, 0, 0), moved += std::string("\1\3\21", 3);
  return {tree, loop, moved};
}
