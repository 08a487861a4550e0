#include "engine/enforce/flow.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/results/json.h"
#include "plugins/requests.h"

namespace engine {
namespace {

constexpr std::pair<std::string_view, std::uint16_t> kNames[] = {
    {"icmp", IPPROTO_ICMP}, {"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP},      {"gre", IPPROTO_GRE},
    {"esp", IPPROTO_ESP},   {"ah", IPPROTO_AH},   {"icmp6", IPPROTO_ICMPV6}, {"sctp", IPPROTO_SCTP}};

bool has_ports(std::uint16_t proto) noexcept { return plugins::has_ports(static_cast<std::uint8_t>(proto)); }

struct End {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;
};

std::optional<std::uint16_t> parse_number(std::string_view text, std::uint16_t max) {
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > max) return std::nullopt;
  return number;
}

std::optional<std::uint16_t> parse_proto(std::string_view text) {
  for (const auto& [name, proto] : kNames)
    if (name == text) return proto;
  return parse_number(text, 255);
}

bool parse_address(std::string_view text, std::array<std::uint8_t, 16>& address) {
  const std::string copy(text);
  address = {};
  if (inet_pton(AF_INET6, copy.c_str(), address.data()) == 1) return true;
  address[10] = address[11] = 0xff;
  return inet_pton(AF_INET, copy.c_str(), address.data() + 12) == 1;
}

// 10.0.0.1:80, [2001:db8::1]:80; without ports the address alone.
std::optional<End> parse_end(std::string_view text, bool with_port) {
  End end;
  if (!with_port) return parse_address(text, end.address) ? std::optional(end) : std::nullopt;
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  const std::optional<std::uint16_t> port = parse_number(text.substr(colon + 1), UINT16_MAX);
  std::string_view address = text.substr(0, colon);
  const bool bracketed = address.starts_with('[') && address.ends_with(']');
  if (bracketed) address = address.substr(1, address.size() - 2);
  // Without brackets the last group of an IPv6 address would pass for a port.
  if (!port || bracketed != (address.find(':') != address.npos) || !parse_address(address, end.address))
    return std::nullopt;
  end.port = *port;
  return end;
}

Flow ordered(End a, End b, std::uint16_t proto) noexcept {
  if (std::tie(a.address, a.port) > std::tie(b.address, b.port)) std::swap(a, b);
  return {a.address, b.address, a.port, b.port, proto};
}

bool is_v4(const std::array<std::uint8_t, 16>& address) noexcept {
  constexpr std::array<std::uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(mapped.begin(), mapped.end(), address.begin());
}

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  std::vector<std::string_view> words;
  for (std::size_t at = text.find_first_not_of(blanks); at != text.npos; at = text.find_first_not_of(blanks, at)) {
    const std::size_t end = std::min(text.find_first_of(blanks, at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

root_block_address key_of(const std::array<std::uint8_t, 16>& address) noexcept {
  root_block_address key{};
  std::memcpy(key.bytes, address.data(), address.size());
  return key;
}

std::string end_text(const std::array<std::uint8_t, 16>& address, std::uint16_t port, bool with_port) {
  engine_addr value{};
  std::memcpy(static_cast<void*>(&value), address.data(), address.size());
  const std::string text = format_address(value);
  if (!with_port) return text;
  return (is_v4(address) ? text : "[" + text + "]") + ":" + std::to_string(port);
}

}  // namespace

Flow Flow::of(const engine_bypass& request) noexcept {
  End a, b;
  std::memcpy(a.address.data(), &request.src, a.address.size());
  std::memcpy(b.address.data(), &request.dst, b.address.size());
  a.port = request.src_port;
  b.port = request.dst_port;
  return ordered(a, b, request.proto);
}

Flow Flow::parse(std::string_view text, std::string_view where) {
  const auto refuse = [&](std::string_view reason) {
    throw SetupError(ExitCode::bad_usage, where, "\"" + std::string(text) + "\" " + std::string(reason),
                     "write PROTOCOL ADDRESS:PORT ADDRESS:PORT, as in tcp 10.0.0.1:80 10.0.0.2:40000");
  };
  const std::vector<std::string_view> words = words_of(text);
  if (words.size() != 3) refuse("is no flow");
  const std::optional<std::uint16_t> proto = parse_proto(words[0]);
  if (!proto) refuse("begins with no protocol");
  const std::optional<End> a = parse_end(words[1], has_ports(*proto));
  const std::optional<End> b = parse_end(words[2], has_ports(*proto));
  if (!a || !b)
    refuse(has_ports(*proto) ? "does not name two ends with their ports"
                             : "does not name two addresses, without ports");
  if (is_v4(a->address) != is_v4(b->address)) refuse("joins an IPv4 and an IPv6 address");
  return ordered(*a, *b, *proto);
}

root_flow Flow::key() const noexcept {
  root_flow flow{};
  const root_block_address a = key_of(low), b = key_of(high);
  root_flow_of(&a, htons(low_port), &b, htons(high_port), static_cast<std::uint8_t>(proto), &flow);
  return flow;
}

std::string Flow::text() const {
  const auto* const named =
      std::find_if(std::begin(kNames), std::end(kNames), [&](const auto& it) { return it.second == proto; });
  std::string text(named == std::end(kNames) ? std::to_string(proto) : std::string(named->first));
  const bool ports = has_ports(proto);
  return text + " " + end_text(low, low_port, ports) + " " + end_text(high, high_port, ports);
}

}  // namespace engine
