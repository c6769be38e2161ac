// The words that may follow `vestal`. Each registers itself, so that main()
// needs to know none of them, nor the rooms they live in.
#pragma once

#include <string_view>

#include "broker/client.h"

namespace broker::cli {

// `arguments` stand behind the sub-command's name and end with a null pointer. Returns the exit status.
using Action = int (*)(const CommandOptions& options, char* const* arguments);

class Subcommand {
 public:
  // All texts live for ever. `common` tells for some arguments that they need no parsing: nothing may stand between the
  // user's words and the command. It is asked first, for starting has to be quick. `describe` prints the help of what leaves
  // --help to the command.
  Subcommand(const char* name, const char* synopsis, const char* purpose, Action act,
             bool (*common)(char* const* arguments) = nullptr, int (*describe)() = nullptr);
  static const Subcommand* find(std::string_view name);
  static const Subcommand* first() { return first_; }  // in the order of their names

  const char* const name;
  const char* const synopsis;  // what follows the name
  const char* const purpose;
  const Action act;
  bool (*const common)(char* const* arguments);
  int (*const describe)();
  const Subcommand* next() const { return next_; }

 private:
  static Subcommand* first_;
  Subcommand* next_ = nullptr;
};

}  // namespace broker::cli
