// call_loop CALL COUNT DIR: one kind of call on files of a directory that holds 0, 1, ... COUNT-1.
//
//   open-one    open and close DIR/0, COUNT times         stat-one    the same with stat
//   open-many   open and close each file, once            stat-many   the same with stat
//
// Prints the nanoseconds per call. The names are made before the clock starts.
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

int main(int argc, char** argv) {
  const std::string_view call = argc == 4 ? argv[1] : "";
  const bool opens = call == "open-one" || call == "open-many";
  const bool many = call == "open-many" || call == "stat-many";
  const int count = argc == 4 ? std::atoi(argv[2]) : 0;
  if (count <= 0 || (!opens && !many && call != "stat-one")) {
    std::fprintf(stderr, "usage: call_loop open-one|open-many|stat-one|stat-many COUNT DIR\n");
    return 2;
  }
  std::vector<std::string> names;
  for (int i = 0; i < (many ? count : 1); ++i) names.push_back(std::string(argv[3]) + "/" + std::to_string(i));

  timespec started{};
  timespec ended{};
  clock_gettime(CLOCK_MONOTONIC, &started);
  for (int i = 0; i < count; ++i) {
    const char* name = names[many ? static_cast<std::size_t>(i) : 0].c_str();
    if (opens) {
      const int fd = open(name, O_RDONLY | O_CLOEXEC);
      if (fd < 0 || close(fd) != 0) {
        std::perror(name);
        return 1;
      }
    } else {
      struct stat info;
      if (stat(name, &info) != 0) {
        std::perror(name);
        return 1;
      }
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &ended);
  const double nanoseconds = static_cast<double>(ended.tv_sec - started.tv_sec) * 1e9 + static_cast<double>(ended.tv_nsec - started.tv_nsec);
  std::printf("%.1f\n", nanoseconds / count);
  return 0;
}
