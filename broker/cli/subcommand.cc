#include "broker/cli/subcommand.h"

namespace broker::cli {

constinit Subcommand* Subcommand::first_ = nullptr;

Subcommand::Subcommand(const char* own_name, const char* own_synopsis, const char* own_purpose, Action own_act,
                       bool (*own_common)(char* const*), int (*own_describe)())
    : name(own_name), synopsis(own_synopsis), purpose(own_purpose), act(own_act), common(own_common), describe(own_describe) {
  Subcommand** place = &first_;
  while (*place && std::string_view((*place)->name) < name) place = &(*place)->next_;
  next_ = *place;
  *place = this;
}

const Subcommand* Subcommand::find(std::string_view name) {
  for (const Subcommand* one = first_; one; one = one->next_) {
    if (name == one->name) return one;
  }
  return nullptr;
}

}  // namespace broker::cli
