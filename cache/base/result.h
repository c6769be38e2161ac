// A value or the reason why there is none.
//
// Every room but `preload` passes errors up as Result<T>; whoever has the user
// reports them, once. TRY(expression) is the value, or returns the Error from
// the function it stands in.
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace cache {

enum class Fault {
  not_found,    // what was asked for is not there
  io,           // the system refused: permissions, space, devices
  corrupt,      // contents contradict themselves or their name
  changed,      // no longer what it was
  unsupported,  // nothing vestal can work with
  invalid,      // the caller asked for nonsense
};

struct Error {
  Fault fault;
  std::string message;  // for a human, without a final full stop
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Fault fault, std::string message) {
  return tl::unexpected<Error>(Error{fault, std::move(message)});
}

}  // namespace cache

#define TRY(expression)                                                           \
  ({                                                                              \
    auto try_result = (expression);                                               \
    if (!try_result) return tl::unexpected<::cache::Error>(std::move(try_result.error())); \
    *std::move(try_result);                                                       \
  })
