#include "broker/session_policies.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <tuple>

#include <fmt/format.h>

namespace broker {
namespace {

using namespace preload;
using cache::Fault;
using cache::Result;
using cache::fail;

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t seconds_max = 9'000'000'000;  // the year 2255; nanoseconds of later ones do not fit
constexpr std::string_view tick_prefix = "tick:";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "@1700000000.25" in nanoseconds. Nothing if it is no such number, or too large.
std::optional<std::int64_t> epoch_ns(std::string_view word) {
  if (!word.starts_with('@')) return std::nullopt;
  word.remove_prefix(1);
  const std::size_t point = word.find('.');
  const std::string_view whole = word.substr(0, point);
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
  if (whole.empty() || !is_digit(whole[0]) || error != std::errc() || end != whole.data() + whole.size() || seconds > seconds_max)
    return std::nullopt;
  std::int64_t part = 0;
  if (point != word.npos) {
    std::string fraction(word.substr(point + 1));
    if (fraction.empty() || fraction.size() > 9 || !std::all_of(fraction.begin(), fraction.end(), is_digit)) return std::nullopt;
    fraction.resize(9, '0');
    std::from_chars(fraction.data(), fraction.data() + fraction.size(), part);
  }
  return seconds * second_ns + part;
}

void put_text(char (&place)[policy_text_bytes], std::string_view text) {
  std::memset(place, 0, sizeof place);
  if (!text.empty()) std::memcpy(place, text.data(), text.size());
}

PolicyAddress address_of(const addrinfo& found, std::uint16_t port) {
  PolicyAddress address{};
  address.port = htons(port);
  if (found.ai_family == AF_INET6) {
    std::memcpy(address.address, &reinterpret_cast<const sockaddr_in6*>(found.ai_addr)->sin6_addr, 16);
  } else {
    address.address[10] = address.address[11] = 0xff;
    std::memcpy(address.address + 12, &reinterpret_cast<const sockaddr_in*>(found.ai_addr)->sin_addr, 4);
  }
  return address;
}

bool before(const PolicyAddress& a, const PolicyAddress& b) { return std::memcmp(&a, &b, sizeof a) < 0; }

Result<bool> add_addresses(SessionPolicies& policies, std::string_view word) {
  const std::size_t colon = word.rfind(':');
  std::string_view host = word.substr(0, colon == word.npos ? word.size() : colon);
  const std::string_view digits = colon == word.npos ? std::string_view() : word.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  else if (host.find(':') != host.npos) return fail(Fault::invalid, fmt::format("'{}': an IPv6 address stands in brackets, [::1]:80", word));
  if (host.empty() || error != std::errc() || end != digits.data() + digits.size() || port == 0)
    return fail(Fault::invalid, fmt::format("'{}' is neither allow nor deny nor HOST:PORT", word));
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const std::string name(host);
  const int failure = ::getaddrinfo(name.c_str(), nullptr, &hints, &list);
  if (failure != 0) return fail(Fault::invalid, fmt::format("'{}': {}", word, ::gai_strerror(failure)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  for (const addrinfo* each = list; each; each = each->ai_next) {
    if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
    if (policies.address_count == policy_address_count)
      return fail(Fault::invalid, fmt::format("more than {} addresses", policy_address_count));
    policies.addresses[policies.address_count++] = address_of(*each, port);
  }
  return true;
}

std::string text_of(const PolicyAddress& address) {
  in6_addr six;
  std::memcpy(&six, address.address, sizeof six);
  char text[INET6_ADDRSTRLEN];
  const bool four = IN6_IS_ADDR_V4MAPPED(&six);
  ::inet_ntop(four ? AF_INET : AF_INET6, address.address + (four ? 12 : 0), text, sizeof text);
  return four ? fmt::format("{}:{}", text, ntohs(address.port)) : fmt::format("[{}]:{}", text, ntohs(address.port));
}

}  // namespace

Result<bool> choose_clock(SessionPolicies& policies, std::string_view word) {
  policies.clock = clock_real;
  policies.clock_ns = 0;
  if (word == "real") return true;
  const bool ticks = word.starts_with(tick_prefix);
  const auto ns = epoch_ns(ticks ? word.substr(tick_prefix.size()) : word);
  if (!ns) return fail(Fault::invalid, fmt::format("'{}' is neither real nor @SECONDS nor tick:@SECONDS (since 1970)", word));
  policies.clock = ticks ? clock_ticking : clock_fixed;
  policies.clock_ns = *ns;
  return true;
}

Result<bool> choose_random(SessionPolicies& policies, std::string_view word) {
  const bool real = word == "real";
  if (word.empty()) return fail(Fault::invalid, "a seed is one character at least");
  if (word.size() >= policy_text_bytes) return fail(Fault::invalid, fmt::format("a seed has at most {} characters", policy_text_bytes - 1));
  policies.random = real ? random_real : random_seeded;
  put_text(policies.random_seed, real ? std::string_view() : word);
  return true;
}

Result<bool> choose_host_name(SessionPolicies& policies, std::string_view word) {
  const bool sound = !word.empty() && word.size() < policy_text_bytes && std::all_of(word.begin(), word.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
  });
  if (!sound)
    return fail(Fault::invalid, fmt::format("'{}' is no host name: up to {} letters, digits, '-', '.' and '_'", word, policy_text_bytes - 1));
  put_text(policies.host_name, word);
  return true;
}

Result<bool> choose_network(SessionPolicies& policies, std::string_view word) {
  policies.network = network_allowed;
  policies.address_count = 0;
  std::memset(policies.addresses, 0, sizeof policies.addresses);
  if (word == "allow") return true;
  policies.network = network_denied;
  if (word == "deny") return true;
  for (;;) {
    const std::size_t comma = word.find(',');
    TRY(add_addresses(policies, word.substr(0, comma)));
    if (comma == word.npos) break;
    word.remove_prefix(comma + 1);
  }
  // The same list in another order is the same policy.
  PolicyAddress* const first = policies.addresses;
  std::sort(first, first + policies.address_count, before);
  PolicyAddress* const last = std::unique(first, first + policies.address_count, [](const auto& a, const auto& b) { return !before(a, b) && !before(b, a); });
  std::memset(last, 0, static_cast<std::size_t>(first + policies.address_count - last) * sizeof *last);
  policies.address_count = static_cast<std::uint32_t>(last - first);
  return true;
}

bool any_chosen(const SessionPolicies& policies) {
  return policies.clock != clock_real || policies.random != random_real || policies.network != network_allowed || policies.host_name[0];
}

std::string text_of(const SessionPolicies& policies) {
  std::string text;
  auto add = [&](const std::string& option) { text += (text.empty() ? "" : " ") + option; };
  if (policies.clock != clock_real) {
    std::string epoch = fmt::format("@{}.{:09}", policies.clock_ns / second_ns, policies.clock_ns % second_ns);
    epoch.erase(epoch.find_last_not_of('0') + 1);
    if (epoch.ends_with('.')) epoch.pop_back();
    add(fmt::format("--clock={}{}", policies.clock == clock_ticking ? tick_prefix : "", epoch));
  }
  if (policies.random != random_real) add(fmt::format("--random={}", policies.random_seed));
  if (policies.host_name[0]) add(fmt::format("--hostname={}", policies.host_name));
  if (policies.network != network_allowed) {
    std::string list;
    for (std::uint32_t i = 0; i < policies.address_count; ++i) list += (i ? "," : "") + text_of(policies.addresses[i]);
    add("--network=" + (list.empty() ? "deny" : list));
  }
  return text;
}

std::string without_chosen_variables(std::string text, const SessionPolicies& policies) {
  auto is_name_character = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  auto blank_out = [&](std::string_view name, bool whole_word) {
    for (std::size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
      const std::size_t end = at + name.size();
      const bool inside = (at > 0 && is_name_character(text[at - 1])) || (end < text.size() && is_name_character(text[end]));
      if (!whole_word || !inside) text.replace(at, name.size(), name.size(), ' ');
    }
  };
  if (policies.clock != clock_real) {
    for (const char* name : {"EPOCHSECONDS", "EPOCHREALTIME", "SECONDS"}) blank_out(name, true);
    blank_out(")T", false);  // printf '%(...)T'
  }
  if (policies.random != random_real) blank_out("SRANDOM", true);
  return text;
}

std::string_view bytes_of(const SessionPolicies& policies) { return {reinterpret_cast<const char*>(&policies), sizeof policies}; }

}  // namespace broker
