#include "broker/program_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>

#include "broker/images/closure.h"
#include "tests/broker/images/scratch.h"
#include "tests/preload/fake_session.h"

using namespace broker;
namespace fs = std::filesystem;

namespace {

// Images take half a second to make, so all tests share them.
std::string image_directory() {
  static const scratch::Directory directory;
  return directory.at("images");
}

struct Table {
  scratch::Directory directory;
  std::string message;
  std::unique_ptr<cache::StepCache> cache = *cache::StepCache::open(directory.at("index"), &message);
  cache::FileMemo memo{cache.get()};
  cache::BlobStore blobs = *cache::BlobStore::open(directory.at("blobs"));
  View view{memo, blobs};
  std::string images_in = image_directory();
  std::string shim_path = "/usr/lib/vestal/libvestal_shim.so";
  std::unique_ptr<ProgramTable> programs = new_table();

  std::unique_ptr<ProgramTable> new_table() {
    return std::make_unique<ProgramTable>(*cache, view, images_in, shim_path);
  }
  std::string at(const std::string& name) const { return directory.at(name); }
  std::string compile(const std::string& name, const std::string& source,
                      const std::string& options = {}) const {
    directory.write(name + ".c", source);
    const auto built = scratch::run("gcc -o '" + at(name) + "' '" + at(name + ".c") + "' " + options);
    INFO(built.output);
    REQUIRE(built.status == 0);
    return at(name);
  }
  std::string script(const std::string& name, const std::string& text) const {
    directory.write(name, text);
    ::chmod(at(name).c_str(), 0755);
    return at(name);
  }
  // A program with a library of its own beside it.
  std::string compile_with_library() const {
    compile("libinner.so", "int inner(void) { return 1; }", "-shared -fPIC");
    return compile("program", "int inner(void); int main(void) { return inner(); }",
                   "-L" + directory.path() + " -l:libinner.so '-Wl,-rpath,$ORIGIN'");
  }
  Program look_up(const std::string& path, const std::string& library_path = {}) {
    const auto program = programs->look_up(path, library_path);
    INFO(path << ": " << (program ? (*program)->reason : program.error().message));
    REQUIRE(program);
    return **program;
  }
};

constexpr const char* main_source = "int main(void) { return 0; }";

void wait_until_settled() { std::this_thread::sleep_for(std::chrono::nanoseconds(2 * cache::settle_ns)); }
void let_lease_end() { std::this_thread::sleep_for(std::chrono::milliseconds(lease_ms + 1)); }

std::vector<std::string> pieces_of(const std::string& preload) {
  std::vector<std::string> pieces;
  std::istringstream text(preload);
  for (std::string piece; std::getline(text, piece, ':');) pieces.push_back(piece);
  return pieces;
}

}  // namespace

TEST_CASE("a program is preloaded with its closure, the libc image in libc's place") {
  Table table;
  const auto images = table.programs->images();
  REQUIRE(images);
  const std::string path = GENERATE("/bin/ls", "/usr/bin/git", "/bin/true");
  const Program program = table.look_up(path);
  CHECK_FALSE(program.untraced);
  CHECK(program.real_path == fs::canonical(path));
  CHECK(program.script.empty());
  auto expected = images::library_closure(path, "")->libraries;
  for (std::string& library : expected)
    if (fs::equivalent(library, images->libc_path)) library = images->libc_image;
  CHECK(pieces_of(program.preload) == expected);
  CHECK(std::count(expected.begin(), expected.end(), images->libc_image) == 1);
  struct stat status;
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK(program.facts.identity() == cache::FileIdentity::of(status));
}

TEST_CASE("a program started with its plan runs as without it") {
  Table table;
  const Program program = table.look_up("/bin/ls");
  const auto plain = scratch::run("/bin/ls /"),
             planned = scratch::run("LD_PRELOAD='" + program.preload + "' /bin/ls /");
  CHECK(planned.status == 0);
  CHECK(planned.output == plain.output);
}

TEST_CASE("a program's identity follows its bytes, not its times or its place on disk") {
  Table table;
  const std::string path = table.compile("program", main_source);
  const auto before = table.look_up(path).identity;
  const std::string bytes = scratch::read(path);
  fs::last_write_time(path, fs::file_time_type::clock::now());
  let_lease_end();
  CHECK(table.look_up(path).identity == before);
  fs::remove(path);
  table.script("program", bytes);
  let_lease_end();
  CHECK(table.look_up(path).identity == before);
  fs::remove(path);
  table.compile("program", "int main(void) { return 1; }");
  let_lease_end();
  CHECK(table.look_up(path).identity != before);
}

TEST_CASE("a program's identity follows its libraries' bytes and places") {
  Table table;
  const std::string path = table.compile_with_library();
  const auto before = table.look_up(path).identity;
  fs::last_write_time(table.at("libinner.so"), fs::file_time_type::clock::now());
  let_lease_end();
  CHECK(table.look_up(path).identity == before);

  table.compile("libinner.so", "int inner(void) { return 2; }", "-shared -fPIC");
  let_lease_end();
  const auto after = table.look_up(path).identity;
  CHECK(after != before);
}

TEST_CASE("a library that appears earlier on the way is another identity and another plan") {
  Table table;
  fs::create_directory(table.at("first"));
  const std::string path = table.compile_with_library();
  const std::string search = table.at("first") + ":" + table.at("nowhere");
  wait_until_settled();
  const Program before = table.look_up(path, search);
  CHECK(before.preload.starts_with(table.at("libinner.so")));
  const auto searches = table.programs->searches();
  let_lease_end();
  CHECK(table.look_up(path, search).identity == before.identity);
  CHECK(table.programs->searches() == searches);

  fs::copy(table.at("libinner.so"), table.at("first/libinner.so"));
  let_lease_end();
  const Program after = table.look_up(path, search);
  CHECK(after.identity != before.identity);
  CHECK(after.preload.starts_with(table.at("first/libinner.so")));
  CHECK(table.look_up(path).identity == before.identity);
}

TEST_CASE("a program whose library is missing runs untraced until it is there") {
  Table table;
  const std::string path = table.compile_with_library();
  fs::rename(table.at("libinner.so"), table.at("away"));
  wait_until_settled();
  const Program without = table.look_up(path);
  CHECK(without.untraced);
  CHECK(without.reason == path + ": needs libinner.so, which is missing");
  CHECK(without.preload.empty());
  fs::rename(table.at("away"), table.at("libinner.so"));
  let_lease_end();
  CHECK_FALSE(table.look_up(path).untraced);
}

TEST_CASE("a script runs by its interpreter's plan under an identity of its own") {
  Table table;
  const std::string interpreter = table.compile("interpreter", main_source);
  const std::string path = table.script("script", "#!" + interpreter + " -x\nfirst\n");
  const Program script = table.look_up(path), itself = table.look_up(interpreter);
  CHECK_FALSE(script.untraced);
  CHECK(script.script == path);
  CHECK(script.real_path == interpreter);
  CHECK(script.preload == itself.preload);
  CHECK(script.identity != itself.identity);

  table.script("script", "#!" + interpreter + " -x\nsecond\n");
  let_lease_end();
  const auto second = table.look_up(path).identity;
  CHECK(second != script.identity);
  table.compile("interpreter", "int main(void) { return 1; }");
  let_lease_end();
  CHECK(table.look_up(path).identity != second);
}

TEST_CASE("an interpreter may be a script, but not for ever") {
  Table table;
  const std::string inner = table.script("inner", "#!/bin/sh\n"),
                    outer = table.script("outer", "#!" + inner + "\n");
  const Program program = table.look_up(outer);
  CHECK_FALSE(program.untraced);
  CHECK(program.script == outer);
  CHECK(program.real_path == fs::canonical("/bin/sh"));
  const std::string loop = table.script("loop", "#!" + table.at("loop") + "\n");
  CHECK(table.look_up(loop).untraced);
}

TEST_CASE("a static program has a plan to run its image, and a script in front of it the words the kernel would put there") {
  Table table;
  table.shim_path = fake::shim_path();
  table.programs = table.new_table();
  const std::string fixed = table.compile("fixed", main_source, "-static");
  const Program program = table.look_up(fixed);
  CHECK_FALSE(program.untraced);
  CHECK(program.is_static);
  const auto end = program.preload.find('\n');
  REQUIRE(end != std::string::npos);
  const std::string image = program.preload.substr(0, end);
  CHECK(program.preload.substr(end) == "\n" + fixed);
  CHECK(image.starts_with(table.images_in + "/static-"));
  CHECK(scratch::run(image).status == 0);

  const std::string inner = table.script("inner", "#!" + fixed + " one word\n");
  const std::string outer = table.script("outer", "#!" + inner + "\n");
  CHECK(table.look_up(inner).preload == image + "\n" + fixed + "\n" + fixed + "\none word");
  CHECK(table.look_up(outer).preload == image + "\n" + fixed + "\n" + fixed + "\none word\n" + inner);

  // A copy of the program has the same image; a damaged image is made anew, though nothing else has changed.
  fs::copy_file(fixed, table.at("copy"));
  CHECK(table.look_up(table.at("copy")).preload == image + "\n" + table.at("copy"));
  fs::resize_file(image, 5000);
  let_lease_end();
  CHECK(table.look_up(fixed).preload == program.preload);
  CHECK(scratch::run(image).status == 0);
}

TEST_CASE("what cannot be traced says why") {
  Table table;
  table.shim_path = fake::shim_path();
  table.programs = table.new_table();
  auto reason = [&](const std::string& path) {
    const Program program = table.look_up(path);
    CHECK(program.untraced);
    CHECK(program.preload.empty());
    return program.reason;
  };
  const std::string old = table.compile("old", "int main(void) { __asm__ volatile(\"mov $0xffffffffff600400,%%rax; call *%%rax\" ::: \"rax\"); return 0; }", "-static");
  CHECK(reason(old).starts_with(old + ": statically linked, and cannot be rewritten: reads clocks"));
  const std::string lost = table.compile("lost", main_source, "-Wl,--dynamic-linker=/no/such/loader");
  CHECK(reason(lost).find("/no/such/loader") != std::string::npos);
  const std::string text = table.script("text", "echo without a first line\n");
  CHECK(reason(text) == text + ": not a program");
  CHECK(reason(table.directory.path()) == table.directory.path() + ": not a regular file");
  const std::string relative = table.script("relative", "#!bin/sh\n");
  CHECK(reason(relative) == relative + ": its interpreter bin/sh depends on the working directory");
  const std::string orphan = table.script("orphan", "#!/no/such/interpreter\n");
  CHECK(reason(orphan) == "its interpreter /no/such/interpreter: No such file or directory");
  const std::string closed = table.script("closed", "#!/bin/sh\n");
  ::chmod(closed.c_str(), 0644);
  CHECK(reason(closed) == closed + ": may not be executed");
}

TEST_CASE("programs of another loader or libc run as a copy whose calls are trapped") {
  Table table;
  table.shim_path = fake::shim_path();
  table.programs = table.new_table();
  const auto is_copied = [&](const std::string& path, const std::string& library_path = "") {
    const Program program = table.look_up(path, library_path);
    CHECK(program.reason == "");
    CHECK_FALSE(program.untraced);
    CHECK(program.is_static);
    CHECK(program.preload.starts_with(table.images_in + "/static-"));
    return program.identity;
  };
  const std::string own_loader = table.at("ld.so");
  fs::copy("/lib64/ld-linux-x86-64.so.2", own_loader);
  const std::string foreign = table.compile("foreign", main_source, "-Wl,--dynamic-linker=" + own_loader);
  const auto before = is_copied(foreign);
  std::ofstream(own_loader, std::ios::app) << "x";
  let_lease_end();
  CHECK(is_copied(foreign) != before);
  is_copied(table.compile("bare", "void _start(void) { for (;;) {} }",
                          "-nostdlib -nostartfiles -pie -fPIE -Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2"));
  fs::create_directory(table.at("own"));
  fs::copy(table.programs->images()->libc_path, table.at("own/libc.so.6"));
  is_copied("/bin/true", table.at("own"));
}

TEST_CASE("programs behind /proc are not looked at, for each process finds another there") {
  Table table;
  const Program program = table.look_up("/proc/self/exe");
  CHECK(program.untraced);
  CHECK(program.real_path.empty());
  CHECK(table.look_up("/dev/fd/3").untraced);
  CHECK(table.programs->searches() == 0);
}

TEST_CASE("a search for libraries in the working directory cannot be told beforehand") {
  Table table;
  CHECK(table.look_up("/bin/ls", ":/usr/local/lib").untraced);
  CHECK_FALSE(table.look_up("/bin/ls", "/usr/local/lib").untraced);
}

TEST_CASE("set-user-ID programs spoil the step, and system calls of a program's own are trapped") {
  Table table;
  const std::string path = table.compile("program", main_source);
  CHECK(table.look_up(path).spoils.empty());
  ::chmod(path.c_str(), 04755);
  let_lease_end();
  const Program privileged = table.look_up(path);
  CHECK_FALSE(privileged.untraced);
  CHECK(privileged.spoils == path + ": set-user-ID or set-group-ID, run without its privileges");

  const char* const calling =
      "int f(void) { int r; __asm__ volatile(\"syscall\" : \"=a\"(r) : \"0\"(39) : \"rcx\", \"r11\"); return "
      "r; }";
  table.compile("libraw.so", calling, "-shared -fPIC");
  const std::string with_library =
      table.compile("with-library", "int f(void); int main(void) { return f(); }",
                    "-L" + table.directory.path() + " -l:libraw.so '-Wl,-rpath,$ORIGIN'");
  const std::string raw = table.compile("raw", std::string(calling) + main_source);
  for (const std::string& program : {raw, with_library}) {
    const Program trapped = table.look_up(program);
    CHECK_FALSE(trapped.untraced);
    CHECK(trapped.spoils.empty());
    CHECK(trapped.traps);
    CHECK_FALSE(trapped.preload.empty());
  }
  ::chmod(path.c_str(), 0755);
  let_lease_end();
  CHECK_FALSE(table.look_up(path).traps);
}

TEST_CASE("a place that LD_PRELOAD cannot spell leaves the libc image alone in front") {
  Table table;
  fs::create_directory(table.at("with blank"));
  const std::string path = table.compile_with_library();
  fs::rename(table.at("libinner.so"), table.at("with blank/libinner.so"));
  const Program program = table.look_up(path, table.at("with blank"));
  CHECK_FALSE(program.untraced);
  CHECK(program.preload == table.programs->images()->libc_image);
}

TEST_CASE("without images everything is untraced, but known") {
  Table table;
  table.images_in = "/dev/null/images";
  const auto programs = table.new_table();
  CHECK_FALSE(programs->images());
  const auto program = programs->look_up("/bin/true", "");
  REQUIRE(program);
  CHECK((*program)->untraced);
  CHECK((*program)->reason.starts_with("there are no images of libc and ld.so: "));
  CHECK((*program)->identity == table.look_up("/bin/true").identity);
}

TEST_CASE("what is not there is an error, and is looked for each time") {
  Table table;
  const auto gone = table.programs->look_up(table.at("program"), "");
  REQUIRE_FALSE(gone);
  CHECK(gone.error().fault == cache::Fault::not_found);
  table.compile("program", main_source);
  CHECK_FALSE(table.look_up(table.at("program")).untraced);
  fs::remove(table.at("program"));
  let_lease_end();
  CHECK_FALSE(table.programs->look_up(table.at("program"), ""));
  CHECK(table.programs->look_up("program", "").error().fault == cache::Fault::invalid);
}

TEST_CASE("what one table has found out another need not search for") {
  Table table;
  const std::string path = table.compile_with_library(), script = table.script("script", "#!" + path + "\n");
  wait_until_settled();
  const Program first = table.look_up(path), first_script = table.look_up(script);
  CHECK(table.programs->searches() == 2);
  table.programs = table.new_table();
  for (const auto& [before, after] :
       {std::pair(first, table.look_up(path)), std::pair(first_script, table.look_up(script))}) {
    CHECK(after.identity == before.identity);
    CHECK(after.real_path == before.real_path);
    CHECK(after.script == before.script);
    CHECK(after.preload == before.preload);
    CHECK(after.facts.identity() == before.facts.identity());
  }
  CHECK(table.programs->searches() == 0);

  // A copy of the same bytes is known as well, under its new facts.
  fs::copy(path, table.at("copy"));
  fs::rename(table.at("copy"), path);
  table.programs = table.new_table();
  const Program copied = table.look_up(path);
  CHECK(table.programs->searches() == 0);
  CHECK(copied.identity == first.identity);
  CHECK(copied.facts.inode != first.facts.inode);

  table.compile("libinner.so", "int inner(void) { return 2; }", "-shared -fPIC");
  table.programs = table.new_table();
  CHECK(table.look_up(path).identity != first.identity);
  CHECK(table.programs->searches() == 1);
}

TEST_CASE("a damaged row is searched for again") {
  Table table;
  const std::string path = table.compile("program", main_source);
  wait_until_settled();
  const auto identity = table.look_up(path).identity;
  const std::string key = path + std::string(1, '\0');
  std::string row = *table.cache->program_row(key);
  row[row.size() / 2] ^= 1;
  table.cache->set_program_row(key, row);
  table.programs = table.new_table();
  CHECK(table.look_up(path).identity == identity);
  CHECK(table.programs->searches() == 1);
}

TEST_CASE("what was found out of a file that had only just been written is not kept") {
  Table table;
  const std::string path = table.compile("program", main_source);
  fs::last_write_time(path, fs::file_time_type::clock::now() + std::chrono::hours(1));
  table.look_up(path);
  CHECK_FALSE(table.cache->program_row(path + std::string(1, '\0')));
  let_lease_end();
  table.look_up(path);
  CHECK(table.programs->searches() == 2);
}

TEST_CASE("within its lease an answer is not checked, unless its path has been forgotten") {
  Table table;
  const std::string path = table.compile_with_library(), link = table.at("link");
  fs::create_symlink(".", link);
  wait_until_settled();
  const std::string asked = link + "/program";
  const auto library = table.at("libinner.so"), library_as_asked = link + "/libinner.so";
  // Chosen by number: each round has names of its own.
  const std::string forgotten = std::array<std::string, 4>{path, asked, library, link}[GENERATE(0u, 1u, 2u, 3u)];
  table.look_up(asked);
  table.compile("other", "int main(void) { return 1; }");
  for (int attempt = 0;; ++attempt) {
    // A machine that is busy elsewhere may let the lease run out.
    const auto leased = std::chrono::steady_clock::now();
    table.programs->forget(path);
    const auto before = table.look_up(asked).identity;
    fs::copy(table.at("other"), path, fs::copy_options::overwrite_existing);
    table.programs->forget(table.at("unrelated"));
    const auto in_lease = table.look_up(asked).identity;
    const bool in_time = std::chrono::steady_clock::now() - leased < std::chrono::milliseconds(lease_ms);
    if (in_time) CHECK(in_lease == before);
    table.programs->forget(forgotten);
    CHECK(table.look_up(asked).identity != before);
    if (in_time || attempt == 10) break;
    table.compile_with_library();
  }
}

TEST_CASE("a table may be used by several threads") {
  Table table;
  const std::vector<std::string> paths = {"/bin/ls", "/bin/true", "/bin/sh",
                                          table.compile("program", main_source)};
  std::vector<cache::Digest> identities;
  for (const std::string& path : paths) identities.push_back(table.look_up(path).identity);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int run = 0; run < 200; ++run) {
        const std::size_t which = static_cast<std::size_t>(run + i) % paths.size();
        const auto program = table.programs->look_up(paths[which], "");
        if (!program || (*program)->identity != identities[which]) ++wrong;
        if (run % 7 == 0) table.programs->forget(paths[which]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}
