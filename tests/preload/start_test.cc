// What a program finds when it starts: everything as without the shim.

#include <sys/wait.h>

#include <algorithm>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "tests/preload/fake_session.h"
#include "tests/preload/programs.h"

using namespace fake;
using namespace preload;

namespace {

constexpr const char* auxv_source = R"--(
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>
int main(int argc, char** argv, char** envp) {
  if (envp != environ || argv + argc + 1 != envp) return 10;
  char** end = envp;
  while (*end) puts(*end++);
  const Elf64_auxv_t* behind = (const Elf64_auxv_t*)(end + 1);
  int found = 0;
  for (; behind->a_type != AT_NULL; ++behind) {
    // What of the processor's features libc tells is its own.
    const bool as_told = behind->a_type != AT_HWCAP && behind->a_type != AT_HWCAP2;
    if (as_told && getauxval(behind->a_type) != behind->a_un.a_val) return 11;
    if (behind->a_type == AT_PAGESZ && behind->a_un.a_val != 4096) return 12;
    found |= behind->a_type == AT_PAGESZ ? 1 : behind->a_type == AT_RANDOM ? 2 : behind->a_type == AT_SYSINFO_EHDR ? 4 : behind->a_type == AT_EXECFN ? 8 : 0;
  }
  if (found != 15) return 13;
  const unsigned long wanted[] = {AT_PAGESZ, AT_PHDR, AT_PHNUM, AT_ENTRY, AT_BASE, AT_RANDOM, AT_SYSINFO_EHDR, AT_EXECFN, AT_PLATFORM};
  for (unsigned long type : wanted)
    if (getauxval(type) == 0) return 14;
  if (strcmp((const char*)getauxval(AT_EXECFN), argv[0])) return 15;
  return 0;
})--";

}  // namespace

TEST_CASE("a program sees the environment it was given, without a trace of vestal's variables") {
  Session session;
  const Environment plain = plain_environment();
  Environment own_preload = plain;
  own_preload.insert(own_preload.begin() + 1, "LD_PRELOAD=libdl.so.2 libm.so.6");
  Environment empty_preload = plain;
  empty_preload.insert(empty_preload.end(), "LD_PRELOAD=");
  for (const Environment& environment : {plain, own_preload, empty_preload, Environment{}, Environment{"A=1"},
                                         Environment{"LD_PRELOAD=libm.so.6"}}) {
    const auto expected = Session::run_plain({"/usr/bin/env"}, environment);
    const auto seen = session.run({"/usr/bin/env"}, environment);
    INFO(seen.log());
    CHECK(seen.exited_with(0));
    CHECK(seen.output == expected.output);
    CHECK_FALSE(seen.of(kind_started).empty());
    CHECK(seen.of(kind_spoil).empty());
  }
  CHECK(session.shell("env -i /usr/bin/env").output == "");
  const auto nested = session.shell("LD_PRELOAD=libm.so.6 env X=y env | grep -E '^(LD_PRELOAD|X|VESTAL)'");
  CHECK(nested.output == "LD_PRELOAD=libm.so.6\nX=y\n");
  CHECK(nested.of(kind_started).size() == 4);
}

TEST_CASE("a user's own preloaded library is loaded, and the record says that there is one") {
  Session session;
  Programs programs;
  const std::string library =
      programs.compile("mine.so",
                       "extern \"C\" int puts(const char*); __attribute__((constructor)) static void hello() "
                       "{ puts(\"mine\"); }",
                       "-shared -fPIC");
  Environment environment = plain_environment();
  environment.push_back("LD_PRELOAD=" + library);
  const auto run = session.run({"/bin/true"}, environment);
  CHECK(run.output == "mine\n");
  CHECK(run.of(kind_exec).front().payload_as<ExecPayload>().flags & exec_has_preload);
  CHECK_FALSE(session.run({"/bin/true"}).of(kind_exec).front().payload_as<ExecPayload>().flags &
              exec_has_preload);
}

TEST_CASE("the auxiliary vector is complete behind the environment and for getauxval") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("auxv", auxv_source);
  for (const Environment& environment :
       {plain_environment(), Environment{}, Environment{"A=1", "LD_PRELOAD=libm.so.6", "B=2"}}) {
    const auto expected = Session::run_plain({program}, environment);
    REQUIRE(expected.exited_with(0));
    const auto seen = session.run({program}, environment);
    INFO(WEXITSTATUS(seen.status));
    CHECK(seen.exited_with(0));
    CHECK(seen.output == expected.output);
  }
}

TEST_CASE("a program starts with the descriptors it would have had") {
  Session session;
  const auto listing = [](const Outcome& outcome) { return outcome.output; };
  for (const char* command :
       {"ls /proc/self/fd", "ls /proc/self/fd 5</dev/null 9>&1", "exec 3</dev/null; ls /proc/self/fd"}) {
    const auto plain = Session::run_plain({"/bin/sh", "-c", command});
    CHECK(listing(session.shell(command)) == listing(plain));
  }
}

TEST_CASE("a shim that does not find the patched libc stays out of the way") {
  Session session;
  Environment environment = plain_environment();
  environment.push_back("LD_PRELOAD=" + shim_path());
  environment.push_back(fmt::format("VESTAL_REGION={}:22:0", session.name()));
  session.take_events();
  const auto run = Session::run_plain(
      {"/bin/sh", "-c", "env | grep -c -e VESTAL -e LD_PRELOAD; cat /dev/null"}, environment);
  CHECK(run.output == "0\n");
  const auto events = session.take_events();
  REQUIRE(events.size() == 2);
  CHECK(events[0].kind == kind_started);
  CHECK(events[1].kind == kind_spoil);
}

TEST_CASE("a shim without a usable region hides its variables and does nothing") {
  Session session;
  for (const char* region : {"VESTAL_REGION=no-such-region:22:0", "VESTAL_REGION=", "VESTAL_REGION=:22:0",
                             "VESTAL_REGION=../../etc/passwd:22:0"}) {
    Environment environment = plain_environment();
    environment.push_back(session.variables_for("/bin/sh")[0]);
    environment.push_back(region);
    const auto run = Session::run_plain(
        {"/bin/sh", "-c", "env | grep -c -e VESTAL -e LD_PRELOAD; cat /dev/null; exit 7"}, environment);
    CHECK(run.output == "0\n");
    CHECK(run.exited_with(7));
  }
}

TEST_CASE("a region of another version is not used") {
  Session session;
  Environment environment = plain_environment();
  for (const std::string& variable : session.variables_for("/bin/true")) environment.push_back(variable);
  session.header().version = protocol_version + 1;
  session.take_events();
  CHECK(Session::run_plain({"/bin/true"}, environment).exited_with(0));
  CHECK(session.take_events().empty());
}

TEST_CASE("the patched images hold a hook for every wanted call") {
  CHECK(images().libc_sites > 150);
  CHECK(images().loader_sites >= 5);
  for (const HookSlot slot :
       {slot_getenv, slot_secure_getenv, slot_clock_gettime, slot_vfork, slot_posix_spawn, slot_posix_spawnp})
    CHECK(images().originals[slot] != 0);
}
