// What the user chose for a session with --clock, --random, --hostname and
// --network: words into preload::SessionPolicies, and back for messages.
//
// What the words mean is in docs/session-policies.md. Each function below takes
// what stands behind the option's equals sign; an Error says what is wrong with
// it, without the option's name. An option given twice counts as given last.
#pragma once

#include <string>
#include <string_view>

#include "cache/base/result.h"
#include "preload/protocol.h"

namespace broker {

using preload::SessionPolicies;

cache::Result<bool> choose_clock(SessionPolicies& policies, std::string_view word);      // real, @EPOCH, tick:@EPOCH
cache::Result<bool> choose_random(SessionPolicies& policies, std::string_view word);     // real, or any seed
cache::Result<bool> choose_host_name(SessionPolicies& policies, std::string_view word);  // a name
// allow, deny, HOST:PORT,... Names of hosts are looked up here, once and for all.
cache::Result<bool> choose_network(SessionPolicies& policies, std::string_view word);

// Whether anything is not real.
bool any_chosen(const SessionPolicies& policies);

// As on a command line: "--clock=@100 --network=deny"; empty if all is real.
std::string text_of(const SessionPolicies& policies);

// A shell's text without what the policies make the same each time: names of its variables for clock and random numbers.
std::string without_chosen_variables(std::string text, const SessionPolicies& policies);

// The bytes that name the policies in a step's key.
std::string_view bytes_of(const SessionPolicies& policies);

}  // namespace broker
