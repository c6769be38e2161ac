// A fuzz target without a fuzzer:
//
//   TARGET --seeds DIRECTORY     writes the target's own seeds there
//   TARGET FILE-OR-DIRECTORY...  hands over each file, and each seed cut off and with single bytes changed
//
// The changes are the same each time.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/fuzz.h"

namespace fs = std::filesystem;

namespace {

std::size_t runs = 0;

void run(const std::string& bytes) {
  // In memory of just this size, so that tools notice a look behind its end.
  const std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  ++runs;
}

void run_changed(const std::string& bytes) {
  std::mt19937 random(static_cast<unsigned>(bytes.size()));
  for (int round = 0; round < 100 && !bytes.empty(); ++round) {
    std::string changed = bytes;
    if (round % 4 == 0) changed.resize(random() % bytes.size());
    for (int change = 0; change <= round % 3 && !changed.empty(); ++change) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    run(changed);
  }
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

int main(int count, char** words) {
  if (count == 3 && std::string_view(words[1]) == "--seeds") {
    int number = 0;
    for (const std::string& seed : seeds()) {
      std::ofstream(fs::path(words[2]) / ("seed" + std::to_string(number++)), std::ios::binary) << seed;
    }
    return 0;
  }
  for (const std::string& seed : seeds()) {
    run(seed);
    run_changed(seed);
  }
  for (int i = 1; i < count; ++i) {
    if (!fs::is_directory(words[i])) {
      run(read(words[i]));
      continue;
    }
    for (const auto& entry : fs::directory_iterator(words[i])) run(read(entry.path()));
  }
  std::printf("%zu inputs\n", runs);
}
