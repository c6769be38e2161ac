#include <string>
#include <vector>

#include "broker/cli/subcommand.h"
#include "broker/client.h"

namespace makecompat {
namespace {

// Words behind `make` belong to make, --help and --version included.
int make(const broker::CommandOptions& options, char* const* arguments) {
  std::string name = "make";
  std::vector<char*> words{name.data()};
  while (*arguments) words.push_back(*arguments++);
  words.push_back(nullptr);
  return broker::run_command(words.data(), options);
}

bool common(char* const*) { return true; }

const broker::cli::Subcommand make_subcommand("make", "[ARGUMENTS...]", "The make you know, with all its arguments", make,
                                              common);

}  // namespace
}  // namespace makecompat
