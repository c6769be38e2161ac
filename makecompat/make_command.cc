#include <string>
#include <string_view>
#include <vector>

#include "broker/cli/subcommand.h"
#include "broker/client.h"

namespace makecompat {
namespace {

// Words behind `make` belong to make, --help and --version included, but for those that make does not know.
int make(const broker::CommandOptions& given, char* const* arguments) {
  broker::CommandOptions options = given;
  std::string name = "make";
  std::vector<char*> words{name.data()};
  for (; *arguments; ++arguments) {
    if (std::string_view(*arguments) == "--precise") options.precise = true;
    else words.push_back(*arguments);
  }
  words.push_back(nullptr);
  return broker::run_command(words.data(), options);
}

bool common(char* const*) { return true; }

const broker::cli::Subcommand make_subcommand("make", "[ARGUMENTS...]", "The make you know, with all its arguments; --precise tells it what still holds", make,
                                              common);

}  // namespace
}  // namespace makecompat
