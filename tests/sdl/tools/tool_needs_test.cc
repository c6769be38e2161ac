#include "sdl/tools/tool_needs.h"

#include <algorithm>
#include <map>
#include <random>

#include <catch2/catch.hpp>

#include "tests/broker/images/scratch.h"

using namespace sdl;

namespace {

// A directory by the paths of its files; one that ends with '/' is an empty directory, a text that begins
// with "-> " a link.
using Files = std::map<std::string, std::string>;

struct Store {
  scratch::Directory scratch;
  Directories directories{*cache::BlobStore::open(scratch.at("blobs"))};

  broker::tree::Subdirectory put(const std::string& name, const Files& files) {
    Directories::Directory directory;
    std::map<std::string, Files> below;
    for (const auto& [path, text] : files) {
      const std::size_t slash = path.find('/');
      if (slash != path.npos) {
        Files& inside = below[path.substr(0, slash)];
        if (slash + 1 < path.size()) inside[path.substr(slash + 1)] = text;
      } else if (text.starts_with("-> ")) {
        directory.symlinks.push_back({path, text.substr(3)});
      } else {
        const auto blob = directories.put(text);
        REQUIRE(blob);
        directory.files.push_back({.name = path, .digest = blob->digest, .bytes = blob->bytes});
      }
    }
    for (const auto& [each, inside] : below) directory.directories.push_back(put(each, inside));
    const auto made = directories.put(name, std::move(directory));
    REQUIRE(made);
    return *made;
  }
  cache::Digest tree(const Files& files) { return put("", files).digest; }

  bool holds(const ToolNeed& need, const Files& then, const Files& now) {
    const auto answer = hold({need}, directories, tree(then), tree(now));
    REQUIRE(answer);
    return *answer;
  }
};

constexpr NeedKind kinds[] = {NeedKind::value, NeedKind::existence, NeedKind::names, NeedKind::type};

// The same, by looking at each path from the root: what a need of that kind sees.
std::string seen(NeedKind kind, const std::string& path, const Files& files) {
  const auto own = files.find(path);
  std::map<std::string, std::string> inside;
  bool is_directory = path.empty();
  for (const auto& [each, text] : files)
    if (path.empty() || each.starts_with(path + "/")) {
      is_directory = true;
      inside[path.empty() ? each : each.substr(path.size() + 1)] = text;
    }
  const std::string type = is_directory                     ? "directory"
                           : own == files.end()             ? "nothing"
                           : own->second.starts_with("-> ") ? "link"
                                                            : "file";
  std::string value = type;
  switch (kind) {
    case NeedKind::existence:
      return type == "nothing" ? "no" : "yes";
    case NeedKind::type:
      return type;
    case NeedKind::names: {
      if (!is_directory) return kind == NeedKind::names && own != files.end() ? type + own->second : type;
      std::map<std::string, std::string> names;
      for (const auto& [each, text] : inside)
        if (!each.empty())
          names[each.substr(0, each.find('/'))] = each.find('/') != each.npos ? "d"
                                                  : text.starts_with("-> ")   ? "l"
                                                                              : "f";
      for (const auto& [name, what] : names) value += "/" + name + what;
      return value;
    }
    case NeedKind::value:
      if (!is_directory) return own == files.end() ? type : type + own->second;
      for (const auto& [each, text] : inside) value += "/" + each + "=" + text;
      return value;
  }
  return value;
}

// An empty directory in which there is something is none.
Files plain(Files files) {
  std::erase_if(files, [&](const auto& each) {
    if (!each.first.ends_with('/')) return false;
    return std::ranges::any_of(files, [&](const auto& other) {
      return other.first != each.first && other.first.starts_with(each.first);
    });
  });
  return files;
}

Files random_files(std::mt19937& random) {
  static constexpr const char* paths[] = {"a",   "a/b",   "a/b/c", "a.b",     "a/",   "b/",
                                          "b/x", "b/x/y", "c",     "c/d/e/f", "c/d/", "a/b/"};
  static constexpr const char* texts[] = {"1", "2", "-> a", "-> b/x"};
  Files files;
  for (const char* path : paths) {
    if (random() % 3 != 0) continue;
    const std::string text = std::string(path).ends_with('/') ? "" : texts[random() % std::size(texts)];
    // Nothing is below a file, and no file where a directory is.
    bool fits = true;
    const std::string own = path;
    const std::string bare = own.ends_with('/') ? own.substr(0, own.size() - 1) : own;
    for (const auto& [other, unused] : files) {
      const std::string other_bare = other.ends_with('/') ? other.substr(0, other.size() - 1) : other;
      fits = fits && bare != other_bare &&
             !(other.ends_with('/') ? false : bare.starts_with(other_bare + "/")) &&
             !(own.ends_with('/') ? false : other_bare.starts_with(bare + "/"));
    }
    if (fits) files[own] = text;
  }
  return plain(files);
}

}  // namespace

TEST_CASE("a need holds if what it names is what it was, whatever else is another") {
  Store store;
  const Files then{{"usr/include/a.h", "1"}, {"usr/include/sub/b.h", "2"}, {"bin", "-> usr/bin"}};
  Files now = then;
  now["usr/include/c.h"] = "3";
  CHECK(store.holds({"usr/include/a.h", NeedKind::value}, then, now));
  CHECK(store.holds({"usr/include", NeedKind::type}, then, now));
  CHECK(store.holds({"bin", NeedKind::value}, then, now));
  CHECK(store.holds({"usr/include/d.h", NeedKind::existence}, then, now));
  CHECK_FALSE(store.holds({"usr/include/c.h", NeedKind::existence}, then, now));
  CHECK_FALSE(store.holds({"usr/include", NeedKind::names}, then, now));
  CHECK_FALSE(store.holds({"usr", NeedKind::value}, then, now));
  CHECK_FALSE(store.holds({"", NeedKind::value}, then, now));
  CHECK(store.holds({"", NeedKind::names}, then, now));
}

TEST_CASE("names of a directory are told with what kind of thing each is") {
  Store store;
  CHECK_FALSE(store.holds({"d", NeedKind::names}, {{"d/a", "1"}}, {{"d/a/", ""}}));
  CHECK(store.holds({"d", NeedKind::names}, {{"d/a", "1"}}, {{"d/a", "2"}}));
}

TEST_CASE(
    "a hundred pairs of trees made up at random: comparing them from the root down finds what looking at "
    "each path does") {
  Store store;
  std::mt19937 random(7);
  std::size_t held = 0, did_not = 0;
  for (int pair = 0; pair < 100; ++pair) {
    const Files then = random_files(random), now = random() % 2 ? random_files(random) : [&] {
      Files changed = then;
      if (!changed.empty())
        changed.erase(std::next(changed.begin(), static_cast<long>(random() % changed.size())));
      return plain(changed);
    }();
    std::vector<ToolNeed> all;
    bool all_hold = true;
    for (const char* path : {"", "a", "a/b", "a/b/c", "a.b", "b", "b/x", "b/x/y", "c", "c/d", "c/d/e",
                             "c/d/e/f", "none", "none/x"}) {
      for (const NeedKind kind : kinds) {
        const bool expected = seen(kind, path, then) == seen(kind, path, now);
        INFO(path << ' ' << static_cast<char>(kind) << ": " << seen(kind, path, then) << " and "
                  << seen(kind, path, now));
        CHECK(store.holds({path, kind}, then, now) == expected);
        ++(expected ? held : did_not);
        if (random() % 8 == 0) {
          all.push_back({path, kind});
          all_hold = all_hold && expected;
        }
      }
    }
    std::sort(all.begin(), all.end());
    const auto together = hold(all, store.directories, store.tree(then), store.tree(now));
    REQUIRE(together);
    CHECK(*together == all_hold);
  }
  CHECK(held > 1000);
  CHECK(did_not > 1000);
}

TEST_CASE("a report becomes needs without symbolic links on the way, each of which is one") {
  Store store;
  const auto tree = store.tree({{"bin", "-> usr/bin"},
                                {"usr/bin/tool", "x"},
                                {"usr/lib/libx.so", "-> libx.so.1"},
                                {"usr/lib/libx.so.1", "y"},
                                {"src/d/f", "z"}});
  const auto needs = needs_of(
      R"({"needs": {"paths": [{"path": "/src", "listed": true}, {"path": "/src/d", "listed": false}, {"path": "/dev/null", "listed": false},
    {"path": "/bin", "listed": false}], "absent": ["/bin/other", "/src/none/x"], "programs": [{"path": "/bin/tool"}, {"path": "/usr/lib/libx.so"}],
    "made": ["/src/out"], "variables": ["PATH", "HOME"], "whole_environment": false, "has_ended": true, "others": []}})",
      store.directories, tree);
  REQUIRE(needs);
  CHECK(needs->files == std::vector<ToolNeed>{{"bin", NeedKind::value},
                                              {"src", NeedKind::names},
                                              {"src/d", NeedKind::type},
                                              {"src/none", NeedKind::type},
                                              {"src/none/x", NeedKind::existence},
                                              {"src/out", NeedKind::value},
                                              {"usr/bin", NeedKind::type},
                                              {"usr/bin/other", NeedKind::existence},
                                              {"usr/bin/tool", NeedKind::value},
                                              {"usr/lib/libx.so", NeedKind::value},
                                              {"usr/lib/libx.so.1", NeedKind::value}});
  CHECK(needs->variables == std::vector<std::string>{"HOME", "PATH"});
  CHECK(needs->may_be_kept);
}

TEST_CASE("so does a name that JSON cannot tell") {
  Store store;
  const auto needs = needs_of(
      "{\"needs\": {\"paths\": [], \"absent\": [\"/n\xef\xbf\xbd\"], \"programs\": [], \"made\": [], "
      "\"variables\": [], \"whole_environment\": false, \"has_ended\": true, \"others\": []}}",
      store.directories, store.tree({}));
  REQUIRE(needs);
  CHECK(needs->files == std::vector<ToolNeed>{{"", NeedKind::value}});
}

TEST_CASE("what could not be seen makes everything a need") {
  Store store;
  const auto needs = needs_of(
      R"({"needs": {"paths": [], "absent": [], "programs": [], "made": [], "variables": [], "whole_environment": false, "has_ended": true,
    "others": [{"reason": "uses the network", "command": "x"}]}})",
      store.directories, store.tree({}));
  REQUIRE(needs);
  CHECK(needs->files == std::vector<ToolNeed>{{"", NeedKind::value}});
  CHECK(needs->whole_environment);
  CHECK_FALSE(needs->may_be_kept);
  CHECK_FALSE(needs_of("{}", store.directories, store.tree({})));
}
