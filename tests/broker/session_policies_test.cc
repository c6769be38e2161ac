// What can be said behind --clock, --random, --hostname and --network.
#include "broker/session_policies.h"

#include <catch2/catch.hpp>

using namespace broker;
using namespace preload;

namespace {

using Choose = cache::Result<bool> (*)(SessionPolicies&, std::string_view);

// What is made of the word, as it is shown; or "?" if it is refused.
std::string made_of(Choose choose, std::string_view word) {
  SessionPolicies policies{};
  return choose(policies, word) ? text_of(policies) : "?";
}

}  // namespace

TEST_CASE("a clock is real, stands still or ticks from a moment since 1970") {
  CHECK(made_of(choose_clock, "real") == "");
  CHECK(made_of(choose_clock, "@0") == "--clock=@0");
  CHECK(made_of(choose_clock, "@1700000000.250") == "--clock=@1700000000.25");
  CHECK(made_of(choose_clock, "tick:@5.000000001") == "--clock=tick:@5.000000001");
  for (const char* wrong : {"", "5", "@", "@-1", "@+1", "@x", "@1x", "@1.", "@.5", "@1.1234567890", "@99999999999", "@1e9", "tick", "tick:", "tick:5", "Real", "@1 "}) {
    INFO(wrong);
    CHECK(made_of(choose_clock, wrong) == "?");
  }
}

TEST_CASE("a seed is any text that is not too long") {
  CHECK(made_of(choose_random, "real") == "");
  CHECK(made_of(choose_random, "42") == "--random=42");
  CHECK(made_of(choose_random, std::string(63, 's')) == "--random=" + std::string(63, 's'));
  CHECK(made_of(choose_random, "") == "?");
  CHECK(made_of(choose_random, std::string(64, 's')) == "?");
}

TEST_CASE("a host name has letters, digits and a few signs") {
  CHECK(made_of(choose_host_name, "build-1.example_x") == "--hostname=build-1.example_x");
  CHECK(made_of(choose_host_name, std::string(63, 'h')) == "--hostname=" + std::string(63, 'h'));
  for (const std::string& wrong : {std::string(), std::string("a b"), std::string("a/b"), std::string("a\nb"), std::string(64, 'h')}) {
    INFO(wrong);
    CHECK(made_of(choose_host_name, wrong) == "?");
  }
}

TEST_CASE("a network is allowed, denied, or a list whose order does not matter") {
  CHECK(made_of(choose_network, "allow") == "");
  CHECK(made_of(choose_network, "deny") == "--network=deny");
  CHECK(made_of(choose_network, "10.0.0.2:80,[::1]:27000,10.0.0.1:80,10.0.0.2:80") == "--network=[::1]:27000,10.0.0.1:80,10.0.0.2:80");
  SessionPolicies one{}, other{};
  REQUIRE(choose_network(one, "10.0.0.1:80,10.0.0.2:80"));
  REQUIRE(choose_network(other, "10.0.0.2:80,10.0.0.1:80"));
  CHECK(bytes_of(one) == bytes_of(other));
  for (const char* wrong : {"", "none", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:http", "10.0.0.1:80,", ":80", "::1:80", "[]:80", "[::x]:80"}) {
    INFO(wrong);
    CHECK(made_of(choose_network, wrong) == "?");
  }
  std::string many = "10.0.0.1:1";
  for (int port = 2; port <= 65; ++port) many += ",10.0.0.1:" + std::to_string(port);
  CHECK(made_of(choose_network, many) == "?");
}

TEST_CASE("what is given last counts, and other choices are other bytes") {
  SessionPolicies policies{};
  const SessionPolicies none{};
  CHECK(choose_clock(policies, "@5"));
  CHECK(any_chosen(policies));
  CHECK(bytes_of(policies) != bytes_of(none));
  SessionPolicies later{};
  CHECK(choose_clock(later, "@6"));
  CHECK(bytes_of(policies) != bytes_of(later));
  CHECK(choose_clock(policies, "@6"));
  CHECK(bytes_of(policies) == bytes_of(later));
  CHECK(choose_clock(policies, "real"));
  CHECK(choose_random(policies, "7"));
  CHECK(choose_random(policies, "real"));
  CHECK(choose_network(policies, "10.0.0.1:80"));
  CHECK(choose_network(policies, "allow"));
  CHECK_FALSE(any_chosen(policies));
  CHECK(bytes_of(policies) == bytes_of(none));
}

TEST_CASE("of a shell's text those variables are left out that are the same each time") {
  SessionPolicies clock{}, random{};
  REQUIRE(choose_clock(clock, "@5"));
  REQUIRE(choose_random(random, "5"));
  const std::string text = "echo $SECONDS $EPOCHSECONDS $MY_SECONDS $SRANDOM $RANDOM; printf '%(%F)T'";
  CHECK(without_chosen_variables(text, {}) == text);
  CHECK(without_chosen_variables(text, clock) == "echo $        $             $MY_SECONDS $SRANDOM $RANDOM; printf '%(%F  '");
  CHECK(without_chosen_variables(text, random) == "echo $SECONDS $EPOCHSECONDS $MY_SECONDS $        $RANDOM; printf '%(%F)T'");
}
