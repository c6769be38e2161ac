// random_builder: builds made up at random, plain and with vestal, which must do the same.
//
// For each seed a tree, a build and a sequence of edits are made up (generator.h). All of it is run plain and then, in
// the same path, with a tool in front of each build; after each build status, output, errors and the whole tree must be
// the same. Where they are not, the seed and the smallest script that still shows it are printed.
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "tests/random/check.h"

namespace random_builds {
namespace {

constexpr char usage[] =
    "Usage: random_builder [OPTIONS]\n"
    "  --seeds FROM..TO   which builds; 1..200\n"
    "  --tool COMMAND     what stands in front of each build; vestal run --\n"
    "  --nemesis NAME     disturb vestal: kill-broker, kill-step, two-builds, flip-byte, clock-jump, full-disk\n"
    "  --hits N           fail if there are fewer hits for each seed, on average\n"
    "  --jobs N           how many at a time; 2\n"
    "  --directory DIR    where to work; a new one in $TMPDIR\n"
    "  --show             print the script of each seed and run nothing\n"
    "  --no-shrink        do not look for the smallest script\n"
    "$VESTAL is the vestal to use; otherwise the one beside this program.\n";

struct Options {
  std::uint64_t from = 1, to = 200;
  std::string nemesis;
  double hits_min = 0;
  unsigned jobs = 2;
  bool show = false;
  bool is_vestal = true;
  std::string vestal;
  CheckOptions check;
};

[[noreturn]] void wrong_usage(const std::string& what) {
  std::fprintf(stderr, "random_builder: %s\n%s", what.c_str(), usage);
  std::exit(2);
}

template <class Number>
bool read_number(const std::string& text, Number& number) {
  char* end = nullptr;
  number = static_cast<Number>(std::strtod(text.c_str(), &end));
  return !text.empty() && !*end && text[0] != '-';
}

Options options_from(int count, char** arguments) {
  Options options;
  const char* given = std::getenv("VESTAL");
  options.vestal = given ? given : std::filesystem::canonical("/proc/self/exe").parent_path().parent_path() / "bin/vestal";
  options.check.tool = options.vestal + " run --";
  options.check.repeat = arguments[0];
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--help") std::fputs(usage, stdout), std::exit(0);
    if (name == "--show" || name == "--no-shrink") {
      (name == "--show" ? options.show : options.check.shrink) = name == "--show";
      continue;
    }
    if (++i == count) wrong_usage(name + (name.starts_with("--") ? " needs a value or is not known" : " is not an option"));
    const std::string value = arguments[i];
    bool is_valid = true;
    if (name == "--seeds") {
      const std::size_t dots = value.find("..");
      is_valid = dots != value.npos && read_number(value.substr(0, dots), options.from) && read_number(value.substr(dots + 2), options.to);
    } else if (name == "--tool") {
      options.check.tool = value;
      options.is_vestal = false;
    } else if (name == "--nemesis") {
      const auto nemesis = nemesis_named(value);
      is_valid = nemesis.has_value();
      options.check.nemesis = nemesis.value_or(Nemesis::none);
    } else if (name == "--hits") {
      is_valid = read_number(value, options.hits_min);
    } else if (name == "--jobs") {
      is_valid = read_number(value, options.jobs) && options.jobs > 0;
    } else if (name == "--directory") {
      options.check.directory = value;
    } else {
      wrong_usage(name + " is not an option");
    }
    if (!is_valid) wrong_usage(name + ": '" + value + "' is not a value for it");
    if (name == "--tool" || name == "--nemesis") options.check.repeat += " " + name + " " + quoted(value);
  }
  return options;
}

// What the workers have found; they are processes, and share this.
struct Counts {
  std::atomic<std::uint64_t> next, builds, different, unsteady;
};

void work(const Options& options, Counts& counts) {
  for (std::uint64_t seed; (seed = options.from + counts.next++) <= options.to;) {
    const CheckResult result = checked(seed, options.check);
    counts.builds += result.builds;
    if (result.finding == Finding::different) ++counts.different;
    if (result.finding == Finding::unsteady) ++counts.unsteady;
    // It shows files as they are, zeros among them.
    std::string report = result.report;
    for (char& c : report)
      if (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') c = '.';
    std::fputs(report.c_str(), stdout);
    std::fflush(stdout);
  }
}

std::uint64_t hits(const Options& options, const Place& place) {
  Outcome outcome;
  run_shell(options.vestal + " stats --json", place.top, place, Streams::two_pipes, &outcome);
  const std::size_t at = outcome.output.find("\"hits\": ");
  return at == std::string::npos ? 0 : std::strtoull(outcome.output.c_str() + at + 8, nullptr, 10);
}

void end_broker(const std::string& cache) {
  int pid = 0;
  if (std::FILE* file = std::fopen((cache + "/broker.pid").c_str(), "re")) {
    if (std::fscanf(file, "%d", &pid) != 1) pid = 0;
    std::fclose(file);
  }
  if (pid > 1) kill(pid, SIGTERM);
  for (int i = 0; i < 100 && pid > 1 && kill(pid, 0) == 0; ++i) usleep(10000);
}

int run(Options options) {
  if (options.show) {
    for (std::uint64_t seed = options.from; seed <= options.to; ++seed)
      std::fputs(script_text(made_up(seed, {options.check.nemesis == Nemesis::clock_jump})).c_str(), stdout);
    return 0;
  }
  std::string& directory = options.check.directory;
  const bool is_own = directory.empty();
  if (is_own) {
    const char* base = std::getenv("TMPDIR");
    directory = std::string(base ? base : "/tmp") + "/builds.XXXXXX";
    if (!mkdtemp(directory.data())) return std::perror(directory.c_str()), 1;
  } else {
    std::filesystem::create_directories(directory);
  }
  options.check.cache = directory + "/cache";
  mkdir(options.check.cache.c_str(), 0700);
  const bool is_mounted = options.check.nemesis == Nemesis::full_disk;
  if (is_mounted && mount("none", options.check.cache.c_str(), "tmpfs", 0, "size=4m,mode=700") != 0) {
    std::perror("full-disk: a small file system cannot be mounted");
    return 1;
  }

  void* shared = mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return std::perror("mmap"), 1;
  Counts& counts = *new (shared) Counts{};
  for (unsigned i = 0; i < options.jobs; ++i)
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      work(options, counts);
      std::_Exit(0);
    }
  int lost = 0;
  for (int status; wait(&status) > 0;) lost += status != 0;

  const std::uint64_t seeds = options.to - options.from + 1;
  const std::uint64_t hit_count = options.is_vestal ? hits(options, {directory, {"VESTAL_DIR=" + options.check.cache}}) : 0;
  std::printf("%llu seeds, %llu builds, %llu differ, %llu unsteady, %llu hits\n", static_cast<unsigned long long>(seeds),
              static_cast<unsigned long long>(counts.builds), static_cast<unsigned long long>(counts.different),
              static_cast<unsigned long long>(counts.unsteady), static_cast<unsigned long long>(hit_count));
  end_broker(options.check.cache);
  if (is_mounted) umount2(options.check.cache.c_str(), MNT_DETACH);
  if (is_own) remove_tree(directory);
  if (lost) return std::printf("%d workers did not come to their end\n", lost), 1;
  if (static_cast<double>(hit_count) < options.hits_min * static_cast<double>(seeds))
    return std::printf("too few hits: wanted are %g for each seed\n", options.hits_min), 1;
  return counts.different ? 1 : 0;
}

}  // namespace
}  // namespace random_builds

int main(int count, char** arguments) { return random_builds::run(random_builds::options_from(count, arguments)); }
