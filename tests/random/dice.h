// Random numbers that are the same for the same seed everywhere: the standard's engines are, its distributions are not.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace random_builds {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed * 0x9e3779b97f4a7c15u + 1) {}

  // 0 .. count - 1
  std::size_t below(std::size_t count) { return engine_() % count; }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <class Item>
  const Item& pick(const std::vector<Item>& items) {
    return items[below(items.size())];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace random_builds
