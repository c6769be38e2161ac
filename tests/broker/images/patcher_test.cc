#include "broker/images/patcher.h"

#include <chrono>

#include <catch2/catch.hpp>

#include "broker/images/analysis.h"
#include "tests/broker/images/scratch.h"
#include "tests/broker/images/wishes.h"

using namespace broker::images;

namespace {

void flip(const std::string& path, std::size_t at) {
  std::string bytes = scratch::read(path);
  bytes.at(at) = static_cast<char>(bytes[at] ^ 0x10);
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace

TEST_CASE("programs run unchanged with the libc image and no hook") {
  scratch::Directory directory;
  const auto images = wishes::images_in(directory.path());
  if (!images) FAIL(images.error().message);
  for (const char* command : {"/bin/ls /usr", "true", "make --version", "gcc --version", "/bin/sh -c 'exit 0'",
                              "python3 -c 'import os, subprocess, random; print(subprocess.check_output([\"echo\", \"x\"]))'"}) {
    INFO(command);
    const auto native = scratch::run(command);
    const auto patched = scratch::run("LD_PRELOAD=" + images->libc_image + " " + command);
    CHECK(patched.status == native.status);
    CHECK(patched.output == native.output);
  }
  const auto maps = scratch::run("LD_PRELOAD=" + images->libc_image + " cat /proc/self/maps").output;
  CHECK(maps.find(images->libc_image) != std::string::npos);
  CHECK(maps.find("/libc.so.6") == std::string::npos);
}

TEST_CASE("the image keeps its original's name and build-id") {
  scratch::Directory directory;
  const auto images = wishes::images_in(directory.path());
  REQUIRE(images);
  const auto image = analyse(images->libc_image);
  REQUIRE(image);
  CHECK(image->build_id == images->libc_build_id);
  CHECK(image->soname == "libc.so.6");
  CHECK(images->libc_image.find(images->libc_build_id) != std::string::npos);
  CHECK(images->libc_sites > 50);
  CHECK(images->loader_sites >= 5);
  CHECK(images->rebuilt);
}

TEST_CASE("images found ready are described as when they were made") {
  scratch::Directory directory;
  const auto made = wishes::images_in(directory.path());
  REQUIRE(made);
  const auto found = wishes::images_in(directory.path());
  REQUIRE(found);
  CHECK_FALSE(found->rebuilt);
  CHECK(found->libc_image == made->libc_image);
  CHECK(found->libc_slots == made->libc_slots);
  CHECK(found->originals == made->originals);
  CHECK(found->loader_image == made->loader_image);
  CHECK(found->loader_slot == made->loader_slot);
  CHECK(found->loader_text_offset == made->loader_text_offset);
  CHECK(found->loader_text_vaddr == made->loader_text_vaddr);
  CHECK(found->loader_text_size == made->loader_text_size);
  CHECK(found->libc_sites == made->libc_sites);
  CHECK(found->loader_sites == made->loader_sites);
}

TEST_CASE("a flipped byte in an image or its note is detected, and the image rebuilt") {
  scratch::Directory directory;
  const auto made = wishes::images_in(directory.path());
  REQUIRE(made);
  const std::string libc = scratch::read(made->libc_image), loader = scratch::read(made->loader_image);
  std::string note;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
    if (entry.path().extension() == ".note") note = entry.path();
  REQUIRE_FALSE(note.empty());
  for (const auto& [path, at] : {std::pair{made->libc_image, std::size_t{0x123456}}, {made->libc_image, libc.size() - 1},
                                 {made->loader_image, std::size_t{0x5000}}, {note, std::size_t{30}}}) {
    INFO(path);
    flip(path, at);
    const auto again = wishes::images_in(directory.path());
    REQUIRE(again);
    CHECK(again->rebuilt);
    CHECK(scratch::read(made->libc_image) == libc);
    CHECK(scratch::read(made->loader_image) == loader);
    CHECK_FALSE(wishes::images_in(directory.path())->rebuilt);
  }
}

TEST_CASE("an image cut short or gone is rebuilt") {
  scratch::Directory directory;
  const auto made = wishes::images_in(directory.path());
  REQUIRE(made);
  std::filesystem::resize_file(made->libc_image, 100);
  CHECK(wishes::images_in(directory.path())->rebuilt);
  std::filesystem::remove(made->loader_image);
  CHECK(wishes::images_in(directory.path())->rebuilt);
}

TEST_CASE("an original with the same build-id but other code is not trusted") {
  scratch::Directory directory;
  const std::string libc = directory.write("libc.so", scratch::read(wishes::libc));
  const auto make = [&] {
    return make_system_images(libc, wishes::loader, directory.path(), wishes::for_libc(), wishes::for_loader());
  };
  REQUIRE(make());
  CHECK_FALSE(make()->rebuilt);
  // rename() starts with `mov $0x52,%eax; syscall`, a patched site.
  std::string bytes = scratch::read(libc);
  const std::size_t rename = bytes.find(std::string("\xb8\x52\0\0\0\x0f\x05", 7));
  REQUIRE(rename != std::string::npos);
  bytes[rename + 1] = 0x53;
  std::ofstream(libc, std::ios::binary) << bytes;
  CHECK(make()->rebuilt);
}

TEST_CASE("other wishes give other images beside the first") {
  scratch::Directory directory;
  const auto first = wishes::images_in(directory.path());
  WantedCalls fewer = wishes::for_libc();
  fewer.numbers.reset(SYS_read);
  const auto second = make_system_images(wishes::libc, wishes::loader, directory.path(), fewer, wishes::for_loader());
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->libc_image != second->libc_image);
  CHECK(second->libc_sites < first->libc_sites);
  CHECK_FALSE(wishes::images_in(directory.path())->rebuilt);
}

TEST_CASE("a function that is not there, or a file that is no libc, is an error") {
  scratch::Directory directory;
  WantedCalls wanted = wishes::for_libc();
  wanted.functions = {"no_such_function"};
  CHECK_FALSE(make_system_images(wishes::libc, wishes::loader, directory.path(), wanted, {}));
  CHECK_FALSE(make_system_images("/bin/sh", wishes::loader, directory.path(), wishes::for_libc(), {}));
  CHECK_FALSE(make_system_images("/etc/passwd", wishes::loader, directory.path(), wishes::for_libc(), {}));
  CHECK_FALSE(make_system_images(wishes::libc, wishes::loader, "/proc/nonexistent", wishes::for_libc(), {}));
}
