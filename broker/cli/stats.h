// `vestal stats`, also `vestal -s` and `vestal -z`. Each returns the exit status.
#pragma once

namespace broker::cli {

int show_stats(bool as_json);
int clear_stats();

}  // namespace broker::cli
