#include "broker/replay.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>

#include <catch2/catch.hpp>

#include "preload/redo.h"
#include "tests/broker/images/scratch.h"

using namespace broker;
using namespace cache;
using namespace preload;
namespace fs = std::filesystem;

namespace {

RedoLog& redo_log() {
  alignas(RedoLog) static char room[sizeof(RedoLog) + redo_bytes_max];
  return *reinterpret_cast<RedoLog*>(room);
}

struct stat status_of(const std::string& path) {
  struct stat status {};
  CHECK(::lstat(path.c_str(), &status) == 0);
  return status;
}
std::int64_t mtime_of(const std::string& path) { return FileIdentity::of(status_of(path)).mtime_ns; }
unsigned mode_of(const std::string& path) { return status_of(path).st_mode & 07777; }

// A directory where results are replayed, and a cache beside it.
struct Stage {
  scratch::Directory cache_directory, place;
  FileMemo memo{nullptr};
  BlobStore blobs = *BlobStore::open(cache_directory.at("blobs"));
  View view{memo, blobs};
  StepResult result;

  std::string at(const std::string& name) const { return place.at(name); }

  Change& add(Change::What what, const std::string& name) {
    Change& change = result.changes.emplace_back();
    change.what = what;
    change.path = at(name);
    change.mode = what == Change::What::directory ? 0755 : 0644;
    return change;
  }
  Change& add_file(const std::string& name, const std::string& text) {
    const StoredBlob blob = *blobs.put(text);
    Change& change = add(Change::What::file, name);
    change.content = blob.digest;
    change.bytes = blob.bytes;
    return change;
  }
  void damage(const Digest& digest) const {
    const std::string hex = digest.hex(),
                      path = cache_directory.at("blobs/" + hex.substr(0, 2) + "/" + hex.substr(2));
    ::chmod(path.c_str(), 0600);
    std::fstream(path, std::ios::in | std::ios::out) << "#";
  }

  Result<bool> stage() {
    Replay replay(result, blobs, view, redo_log(), 1);
    return replay.stage();
  }
  Result<bool> replay() {
    Replay replay(result, blobs, view, redo_log(), 1);
    TRY(replay.stage());
    return replay.apply();
  }
  // `between`: what others do after everything has been staged.
  template <class Between>
  Result<bool> replay(Between between) {
    Replay replay(result, blobs, view, redo_log(), 1);
    TRY(replay.stage());
    between();
    return replay.apply();
  }
  bool left_behind() const {
    for (const auto& entry : fs::recursive_directory_iterator(place.path()))
      if (entry.path().filename().string().starts_with(".vestal-")) return true;
    return false;
  }
};

}  // namespace

TEST_CASE("replay makes files with their contents and exact modes, whatever the umask") {
  Stage stage;
  stage.add_file("object", "code");
  stage.add_file("program", "more code").mode = 04775;
  stage.add_file("empty", "").mode = 0400;
  const mode_t before = ::umask(0777);
  const auto replayed = stage.replay();
  ::umask(before);
  REQUIRE(replayed);
  CHECK(scratch::read(stage.at("object")) == "code");
  CHECK(mode_of(stage.at("object")) == 0644);
  CHECK(scratch::read(stage.at("program")) == "more code");
  CHECK(mode_of(stage.at("program")) == 04775);
  CHECK(mode_of(stage.at("empty")) == 0400);
  CHECK_FALSE(stage.left_behind());
}

TEST_CASE("staging changes nothing that anybody looks at, and leaves nothing behind") {
  Stage stage;
  stage.place.write("old", "old");
  stage.place.write("removed", "still here");
  const auto before = status_of(stage.at("old"));
  stage.add_file("old", "new");
  stage.add_file("made", "new");
  stage.add(Change::What::directory, "directory");
  stage.add_file("directory/file", "new");
  stage.add(Change::What::removed, "removed");
  stage.add(Change::What::symlink, "link").text = "target";
  REQUIRE(stage.stage());
  CHECK(scratch::read(stage.at("old")) == "old");
  CHECK(FileIdentity::of(status_of(stage.at("old"))) == FileIdentity::of(before));
  CHECK(fs::exists(stage.at("removed")));
  for (const char* name : {"made", "directory", "link"})
    CHECK_FALSE(fs::exists(fs::symlink_status(stage.at(name))));
  CHECK_FALSE(stage.left_behind());
}

TEST_CASE("a file opened for writing keeps its mode, a fresh one gets its own") {
  Stage stage;
  for (const char* name : {"written", "fresh", "chmoded"})
    ::chmod(stage.place.write(name, "old").c_str(), 0600);
  stage.add_file("written", "new").mode = 0755;
  Change& fresh = stage.add_file("fresh", "new");
  fresh.mode = 0755;
  fresh.fresh = true;
  Change& chmoded = stage.add_file("chmoded", "new");
  chmoded.mode = 0755;
  chmoded.mode_set = true;
  REQUIRE(stage.replay());
  CHECK(mode_of(stage.at("written")) == 0600);
  CHECK(mode_of(stage.at("fresh")) == 0755);
  CHECK(mode_of(stage.at("chmoded")) == 0755);
  for (const char* name : {"written", "fresh", "chmoded"}) CHECK(scratch::read(stage.at(name)) == "new");
}

TEST_CASE("the same holds for modes when the contents are there already") {
  Stage stage;
  for (const char* name : {"written", "fresh", "chmoded"})
    ::chmod(stage.place.write(name, "same").c_str(), 0600);
  const ino_t inode = status_of(stage.at("fresh")).st_ino;
  stage.add_file("written", "same").mode = 0755;
  Change& fresh = stage.add_file("fresh", "same");
  fresh.mode = 0755;
  fresh.fresh = true;
  Change& chmoded = stage.add_file("chmoded", "same");
  chmoded.mode = 0755;
  chmoded.mode_set = true;
  REQUIRE(stage.replay());
  CHECK(mode_of(stage.at("written")) == 0600);
  CHECK(mode_of(stage.at("fresh")) == 0755);
  CHECK(mode_of(stage.at("chmoded")) == 0755);
  CHECK(status_of(stage.at("fresh")).st_ino == inode);
}

TEST_CASE("contents that are there already are not taken from the cache, but the file is as new") {
  Stage stage;
  const std::string path = stage.place.write("file", "same");
  const timespec past[2] = {{1, 0}, {1, 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), past, 0) == 0);
  const Digest digest = stage.add_file("file", "same").content;
  stage.blobs.remove(digest);
  REQUIRE(stage.replay());
  CHECK(mtime_of(path) > std::int64_t{1'600'000'000} * 1'000'000'000);
}

TEST_CASE("contents that are there no longer when changes are applied are copied after all") {
  Stage stage;
  stage.place.write("file", "same");
  stage.add_file("file", "same");
  Replay replay(stage.result, stage.blobs, stage.view, redo_log(), 1);
  REQUIRE(replay.stage());
  stage.place.write("file", "else");
  REQUIRE(replay.apply());
  CHECK(scratch::read(stage.at("file")) == "same");
  CHECK_FALSE(stage.left_behind());
}

TEST_CASE("a hard-linked file that was opened for writing changes under all its names") {
  Stage stage;
  stage.place.write("name", "old and longer");
  fs::create_hard_link(stage.at("name"), stage.at("other name"));
  ::chmod(stage.at("name").c_str(), 0640);
  stage.add_file("name", "new");
  REQUIRE(stage.replay());
  CHECK(scratch::read(stage.at("other name")) == "new");
  CHECK(status_of(stage.at("name")).st_nlink == 2);
  CHECK(mode_of(stage.at("name")) == 0640);
  CHECK_FALSE(stage.left_behind());
}

TEST_CASE("a fresh file does not touch the other names of what was there, even with the same contents") {
  Stage stage;
  for (const char* text : {"old", "same"}) {
    stage.place.write("name", text);
    fs::remove(stage.at("other name"));
    fs::create_hard_link(stage.at("name"), stage.at("other name"));
    const auto before = status_of(stage.at("other name"));
    stage.result = {};
    stage.add_file("name", "same").fresh = true;
    REQUIRE(stage.replay());
    CHECK(scratch::read(stage.at("other name")) == text);
    CHECK(status_of(stage.at("other name")).st_mtim.tv_nsec == before.st_mtim.tv_nsec);
    CHECK(status_of(stage.at("name")).st_nlink == 1);
  }
}

TEST_CASE("whatever is in the way stays as it is, and is an error of staging") {
  Stage stage;
  fs::create_directory(stage.at("directory"));
  REQUIRE(::mkfifo(stage.at("fifo").c_str(), 0600) == 0);
  stage.place.write("target", "old");
  fs::create_symlink("target", stage.at("link"));
  fs::create_symlink("nowhere", stage.at("dangling"));
  const char* const path = GENERATE("directory", "fifo", "link", "dangling");
  const auto before = status_of(stage.at(path));
  stage.add_file("made", "new");
  stage.add_file(path, "new").fresh = true;
  CHECK(stage.replay().error().fault == Fault::unsupported);
  CHECK(FileIdentity::of(status_of(stage.at(path))) == FileIdentity::of(before));
  CHECK(scratch::read(stage.at("target")) == "old");
  CHECK_FALSE(fs::exists(stage.at("made")));
  CHECK_FALSE(stage.left_behind());
}

TEST_CASE("a device is neither overwritten nor removed nor given another mode") {
  Stage stage;
  std::string device = stage.at("null");
  // Without the right to make one, the machine's own must do: it would not be ours to change, either.
  if (::mknod(device.c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) device = "/dev/null";
  const auto what =
      GENERATE(Change::What::file, Change::What::removed, Change::What::attributes, Change::What::symlink);
  Change& change = stage.add_file("", "new");
  change.what = what;
  change.path = device;
  change.text = "target";
  change.mode_set = true;
  const auto before = status_of(device);
  CHECK(stage.replay().error().fault == Fault::unsupported);
  const auto after = status_of(device);
  CHECK(after.st_mode == before.st_mode);
  CHECK(after.st_ino == before.st_ino);
}

TEST_CASE("where a directory is to be, a file or symlink is an error") {
  Stage stage;
  stage.place.write("file", "old");
  fs::create_symlink(".", stage.at("link"));
  const char* const path = GENERATE("file", "link");
  stage.add(Change::What::directory, path);
  CHECK(stage.replay().error().fault == Fault::unsupported);
}

TEST_CASE("a missing directory is an error unless the result makes it first") {
  Stage stage;
  stage.add_file("directory/file", "new");
  CHECK(stage.replay().error().fault == Fault::not_found);
  stage.add(Change::What::directory, "directory");
  CHECK_FALSE(stage.stage());
  std::swap(stage.result.changes[0], stage.result.changes[1]);
  REQUIRE(stage.replay());
  CHECK(scratch::read(stage.at("directory/file")) == "new");
}

TEST_CASE("directories get their exact mode although files are put into them") {
  Stage stage;
  stage.add(Change::What::directory, "outer").mode = 02555;
  stage.add(Change::What::directory, "outer/inner").mode = 0500;
  stage.add_file("outer/inner/file", "deep");
  stage.add(Change::What::symlink, "outer/link").text = "inner/file";
  REQUIRE(stage.replay());
  CHECK(mode_of(stage.at("outer")) == 02555);
  CHECK(mode_of(stage.at("outer/inner")) == 0500);
  CHECK(scratch::read(stage.at("outer/link")) == "deep");
  CHECK_FALSE(stage.left_behind());
  ::chmod(stage.at("outer").c_str(), 0755);
  ::chmod(stage.at("outer/inner").c_str(), 0755);
}

TEST_CASE("a directory that is there already keeps its mode unless the step set it or made it anew") {
  Stage stage;
  for (const char* name : {"kept", "chmoded", "anew"}) {
    fs::create_directory(stage.at(name));
    ::chmod(stage.at(name).c_str(), 0700);
  }
  stage.add(Change::What::directory, "kept");
  stage.add(Change::What::directory, "anew").fresh = true;
  stage.add(Change::What::directory, "chmoded").mode_set = true;
  REQUIRE(stage.replay());
  CHECK(mode_of(stage.at("kept")) == 0700);
  CHECK(mode_of(stage.at("chmoded")) == 0755);
  CHECK(mode_of(stage.at("anew")) == 0755);
}

TEST_CASE("a directory that somebody makes meanwhile is as good as one made") {
  Stage stage;
  stage.add(Change::What::directory, "directory");
  stage.add_file("directory/file", "new");
  Replay replay(stage.result, stage.blobs, stage.view, redo_log(), 1);
  REQUIRE(replay.stage());
  fs::create_directory(stage.at("directory"));
  REQUIRE(replay.apply());
  CHECK(scratch::read(stage.at("directory/file")) == "new");
}

TEST_CASE("a read-only directory is an error of staging") {
  if (::geteuid() == 0) return;
  Stage stage;
  fs::create_directory(stage.at("closed"));
  ::chmod(stage.at("closed").c_str(), 0555);
  const auto what = GENERATE(Change::What::file, Change::What::symlink, Change::What::directory);
  Change& change = stage.add_file("closed/new", "new");
  change.what = what;
  change.text = "target";
  CHECK(stage.replay().error().fault == Fault::io);
  ::chmod(stage.at("closed").c_str(), 0755);
}

TEST_CASE("a file that could not have been opened for writing is an error, a fresh one takes its place") {
  if (::geteuid() == 0) return;
  Stage stage;
  ::chmod(stage.place.write("file", "old").c_str(), 0444);
  Change& change = stage.add_file("file", "new");
  CHECK(stage.stage().error().fault == Fault::io);
  change.fresh = true;
  CHECK(stage.replay());
  CHECK(scratch::read(stage.at("file")) == "new");
}

TEST_CASE("a damaged or missing blob is an error before anything has changed") {
  Stage stage;
  stage.place.write("first", "old");
  stage.place.write("removed", "still here");
  stage.add_file("first", "new");
  stage.add(Change::What::directory, "directory");
  stage.add(Change::What::removed, "removed");
  const Digest digest = stage.add_file("directory/last", "damaged").content;
  stage.damage(digest);
  CHECK(stage.replay().error().fault == Fault::corrupt);
  // It has been removed by being noticed.
  CHECK(stage.replay().error().fault == Fault::not_found);
  CHECK(scratch::read(stage.at("first")) == "old");
  CHECK(fs::exists(stage.at("removed")));
  CHECK_FALSE(fs::exists(stage.at("directory")));
  CHECK_FALSE(stage.left_behind());
}

TEST_CASE("a blob of another size than recorded is an error") {
  Stage stage;
  stage.add_file("file", "new").bytes = 4;
  CHECK(stage.replay().error().fault == Fault::corrupt);
  CHECK_FALSE(stage.left_behind());
}

TEST_CASE("symlinks replace files and other symlinks, never directories") {
  Stage stage;
  stage.place.write("file", "old");
  fs::create_symlink("old", stage.at("link"));
  fs::create_symlink("new", stage.at("same"));
  for (const char* name : {"file", "link", "same", "nothing"})
    stage.add(Change::What::symlink, name).text = "new";
  REQUIRE(stage.replay());
  for (const char* name : {"file", "link", "same", "nothing"})
    CHECK(fs::read_symlink(stage.at(name)) == "new");
  CHECK_FALSE(stage.left_behind());
  fs::create_directory(stage.at("directory"));
  stage.add(Change::What::symlink, "directory").text = "new";
  CHECK(stage.replay().error().fault == Fault::unsupported);
}

TEST_CASE("hard links share the inode of the file named") {
  Stage stage;
  stage.place.write("second", "in the way");
  stage.add_file("first", "new");
  for (const char* name : {"second", "third"})
    stage.add(Change::What::hard_link, name).text = stage.at("first");
  for (int run = 0; run < 2; ++run) {
    REQUIRE(stage.replay());
    CHECK(status_of(stage.at("first")).st_nlink == 3);
    CHECK(status_of(stage.at("second")).st_ino == status_of(stage.at("first")).st_ino);
    CHECK(status_of(stage.at("third")).st_ino == status_of(stage.at("first")).st_ino);
    CHECK_FALSE(stage.left_behind());
  }
}

TEST_CASE("a hard link to a file the step did not make is made to what is there") {
  Stage stage;
  stage.place.write("first", "there");
  stage.add(Change::What::hard_link, "second").text = stage.at("first");
  REQUIRE(stage.replay());
  CHECK(status_of(stage.at("second")).st_ino == status_of(stage.at("first")).st_ino);
  fs::remove(stage.at("first"));
  fs::remove(stage.at("second"));
  CHECK(stage.replay().error().fault == Fault::not_found);
}

TEST_CASE("removals take away files, symlinks and whole directories, in whatever order they come") {
  Stage stage;
  fs::create_directories(stage.at("directory/inner"));
  stage.place.write("directory/inner/file", "");
  stage.place.write("file", "");
  fs::create_symlink("file", stage.at("link"));
  for (const char* name :
       {"directory", "directory/inner/file", "file", "link", "directory/inner", "long gone", "no/such/place"})
    stage.add(Change::What::removed, name);
  REQUIRE(stage.replay());
  CHECK(fs::is_empty(stage.place.path()));
}

TEST_CASE("a directory is not removed while it holds what the step did not remove") {
  Stage stage;
  fs::create_directory(stage.at("directory"));
  stage.place.write("directory/file", "");
  stage.place.write("directory/precious", "");
  stage.add(Change::What::removed, "directory/file");
  stage.add(Change::What::removed, "directory");
  CHECK(stage.replay().error().fault == Fault::unsupported);
  CHECK(fs::exists(stage.at("directory/file")));
}

TEST_CASE("times are now, in the order of the changes, between what was before and what comes after") {
  Stage stage;
  stage.place.write("0", "kept");
  stage.place.write("2", "old");
  fs::create_hard_link(stage.at("2"), stage.at("other name"));
  stage.place.write("4", "touched");
  fs::create_symlink("target", stage.at("5"));
  // Staged last, applied first: made early, it would be too old.
  stage.add_file("0", "kept");
  stage.add_file("1", "new").fresh = true;
  stage.add_file("2", "in place");
  stage.add_file("3", "new");
  stage.add(Change::What::attributes, "4");
  stage.add(Change::What::symlink, "5").text = "target";
  stage.add(Change::What::symlink, "6").text = "target";
  stage.add_file("7", "new");
  Replay replay(stage.result, stage.blobs, stage.view, redo_log(), 1);
  REQUIRE(replay.stage());
  const std::string before = stage.place.write("before", "made when all was staged");
  REQUIRE(replay.apply());
  const std::string after = stage.place.write("after", "made when all was done");
  std::int64_t last = mtime_of(before);
  for (int i = 0; i < 8; ++i) {
    INFO(i);
    CHECK(mtime_of(stage.at(std::to_string(i))) >= last);
    last = mtime_of(stage.at(std::to_string(i)));
  }
  CHECK(mtime_of(after) >= last);
}

TEST_CASE("times that the step set itself are exact") {
  Stage stage;
  constexpr std::int64_t time = 1'234'567'890'123'456'789;
  stage.place.write("kept", "same");
  stage.place.write("linked", "old");
  fs::create_hard_link(stage.at("linked"), stage.at("other name"));
  stage.place.write("attributes", "");
  stage.add(Change::What::directory, "directory");
  for (const char* name : {"made", "linked", "directory/file"}) stage.add_file(name, "new");
  stage.add_file("kept", "same");
  stage.add(Change::What::attributes, "attributes");
  stage.add(Change::What::symlink, "link").text = "nowhere";
  for (Change& change : stage.result.changes) {
    change.times_set = true;
    change.mtime_ns = time;
  }
  stage.result.changes.back().mtime_ns = -1'500'000'000;
  REQUIRE(stage.replay());
  for (const char* name : {"directory", "directory/file", "made", "linked", "kept", "attributes"}) {
    INFO(name);
    CHECK(mtime_of(stage.at(name)) == time);
  }
  CHECK(mtime_of(stage.at("link")) == -1'500'000'000);
}

TEST_CASE("chmod alone leaves the time, a touch alone the mode") {
  Stage stage;
  const timespec past[2] = {{1, 0}, {1, 0}};
  for (const char* name : {"chmoded", "touched", "both"}) {
    ::chmod(stage.place.write(name, "").c_str(), 0600);
    REQUIRE(::utimensat(AT_FDCWD, stage.at(name).c_str(), past, 0) == 0);
  }
  Change& chmoded = stage.add(Change::What::attributes, "chmoded");
  chmoded.mode_set = true;
  stage.add(Change::What::attributes, "touched");
  Change& both = stage.add(Change::What::attributes, "both");
  both.mode_set = both.fresh = true;
  REQUIRE(stage.replay());
  constexpr std::int64_t second = 1'000'000'000;
  CHECK(mode_of(stage.at("chmoded")) == 0644);
  CHECK(mtime_of(stage.at("chmoded")) == second);
  CHECK(mode_of(stage.at("touched")) == 0600);
  CHECK(mtime_of(stage.at("touched")) > second);
  CHECK(mode_of(stage.at("both")) == 0644);
  CHECK(mtime_of(stage.at("both")) > second);
}

TEST_CASE("attributes of what is not there are an error") {
  Stage stage;
  stage.add(Change::What::attributes, "gone").mode_set = true;
  CHECK(stage.replay().error().fault == Fault::not_found);
}

TEST_CASE("what has come into the way since staging is an error before anything has changed") {
  Stage stage;
  stage.add_file("first", "new");
  stage.add_file("second", "new");
  const auto applied = stage.replay([&] { fs::create_directory(stage.at("second")); });
  REQUIRE_FALSE(applied);
  CHECK(applied.error().message.find(stage.at("second")) != std::string::npos);
  CHECK_FALSE(fs::exists(stage.at("first")));
  CHECK(fs::is_directory(stage.at("second")));
  CHECK_FALSE(stage.left_behind());
}

TEST_CASE("an error while changes are made names the place and leaves no private files") {
  Stage stage;
  std::ofstream(stage.at("source")) << "old";
  stage.add_file("first", "new");
  stage.add(Change::What::hard_link, "second").text = stage.at("source");
  stage.add_file("third", "new");
  const auto applied = stage.replay([&] { fs::remove(stage.at("source")); });
  REQUIRE_FALSE(applied);
  CHECK(applied.error().message.find(stage.at("second")) != std::string::npos);
  CHECK(applied.error().message.find("after 1 of 3") != std::string::npos);
  CHECK(scratch::read(stage.at("first")) == "new");
  CHECK_FALSE(fs::exists(stage.at("second")));
  CHECK_FALSE(fs::exists(stage.at("third")));
  CHECK_FALSE(stage.left_behind());
}

TEST_CASE("what staging makes, and then all changes, are in the log before they are made") {
  Stage stage;
  stage.add_file("first", "new");
  stage.add_file("second", "new");
  stage.add(Change::What::removed, "third");
  std::ofstream(stage.at("third")) << "old";
  RedoLog& log = redo_log();
  auto kinds = [&](std::uint32_t at, std::uint32_t end) {
    std::vector<std::uint32_t> result;
    for (; at < end; at += redo_entry(log, at).bytes) result.push_back(redo_entry(log, at).kind);
    return result;
  };
  using Kinds = std::vector<std::uint32_t>;
  Replay replay(stage.result, stage.blobs, stage.view, log, 5);
  REQUIRE(replay.stage());
  CHECK(log.slot == 5);
  CHECK(log.committed == 0);
  CHECK(kinds(0, log.end) == Kinds{redo_unlink, redo_unlink});
  SECTION("nothing stays if it is undone") {
    CHECK(stage.left_behind());
    undo(log);
    CHECK_FALSE(stage.left_behind());
    CHECK(scratch::read(stage.at("third")) == "old");
  }
  SECTION("all is there when it is done") {
    REQUIRE(replay.apply());
    CHECK(log.slot == 5);
    CHECK(log.committed == 1);
    CHECK(log.done == log.end);
    CHECK(kinds(0, log.begin) == Kinds{redo_unlink, redo_unlink});
    CHECK(kinds(log.begin, log.end) == Kinds{redo_time, redo_time, redo_rename, redo_rename, redo_unlink});
  }
}

TEST_CASE("more changes than the log of changes has room for are an error before the first") {
  Stage stage;
  const std::string name(200, 'n');
  for (int i = 0; i < 9000; ++i) stage.add(Change::What::removed, name + std::to_string(i));
  std::ofstream(stage.at(name + "0")) << "old";
  const auto replayed = stage.replay();
  REQUIRE_FALSE(replayed);
  CHECK(replayed.error().message.find("9000 changes") != std::string::npos);
  CHECK(fs::exists(stage.at(name + "0")));
}

TEST_CASE("a device that comes into the way at the last moment is left alone") {
  Stage stage;
  stage.add_file("file", "new");
  Replay replay(stage.result, stage.blobs, stage.view, redo_log(), 1);
  REQUIRE(replay.stage());
  REQUIRE(::mkfifo(stage.at("file").c_str(), 0600) == 0);
  CHECK_FALSE(replay.apply());
  CHECK(fs::is_fifo(stage.at("file")));
}

TEST_CASE("a path with detours is refused") {
  Stage stage;
  const std::string path =
      GENERATE(std::string("relative"), std::string("/a/../b"), std::string("/a/./b"), std::string("/a//b"),
               std::string("/a/"), std::string(), std::string("/a\0b", 4));
  stage.add_file("file", "new").path = path;
  CHECK(stage.replay().error().fault == Fault::invalid);
}

TEST_CASE("what was replayed has the digest it was stored under, and another one as soon as it is changed") {
  Stage stage;
  const Digest digest = stage.add_file("file", "before").content;
  REQUIRE(stage.replay());
  CHECK(*stage.view.bytes(stage.at("file")) == digest);
  stage.place.write("file", "behind");
  CHECK(*stage.view.bytes(stage.at("file")) == digest_of("behind"));
}
