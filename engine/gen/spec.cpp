// Parsers of the generator's values. A refusal (cli::BadValue) names the piece, what is wrong and what is allowed.
#include "engine/gen/spec.h"

#include <arpa/inet.h>

#include <charconv>
#include <optional>

#include "engine/cli/options.h"

namespace engine::gen {
namespace {

constexpr std::array<std::string_view, kind_count> kind_names = {"udp4",  "udp6",  "tcp4", "tcp6",
                                                                 "icmp4", "icmp6", "dns4", "dns6"};
constexpr std::uint64_t max_weight = 1000;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

[[noreturn]] void refuse(std::string_view text, std::string_view reason, std::string_view remedy = {}) {
  throw cli::BadValue{"'" + std::string(text) + "' " + std::string(reason), std::string(remedy)};
}

// Splits at the separator; empty pieces are kept, so that "a,,b" is refused by whoever reads the pieces.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (;;) {
    const std::size_t at = text.find(separator);
    pieces.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return pieces;
    text.remove_prefix(at + 1);
  }
}

// Takes "=WEIGHT" off the end of a piece.
std::uint32_t take_weight(std::string_view& piece) {
  const std::size_t at = piece.find('=');
  if (at == std::string_view::npos) return 1;
  const auto weight = number(piece.substr(at + 1));
  if (!weight || *weight < 1 || *weight > max_weight) refuse(piece, "has a weight that is not 1..1000");
  piece = piece.substr(0, at);
  return static_cast<std::uint32_t>(*weight);
}

}  // namespace

std::string_view name_of(Kind kind) noexcept { return kind_names[static_cast<std::size_t>(kind)]; }

std::vector<MixEntry> realistic_mix() {
  return {{Kind::tcp4, 40, {}},     {Kind::udp4, 20, {}},     {Kind::tcp6, 12, {}},      {Kind::udp6, 8, {}},
          {Kind::dns4, 8, {}},      {Kind::dns6, 4, {}},      {Kind::icmp4, 2, {}},      {Kind::icmp6, 2, {}},
          {Kind::tcp4, 2, {10, 0}}, {Kind::udp6, 1, {10, 0}}, {Kind::udp4, 1, {100, 10}}};
}

std::vector<MixEntry> parse_mix(std::string_view text) {
  if (text == "realistic") return realistic_mix();
  std::vector<MixEntry> mix;
  for (std::string_view piece : split(text, ',')) {
    MixEntry entry;
    entry.weight = take_weight(piece);
    if (const std::size_t at = piece.find('@'); at != std::string_view::npos) {
      entry.vlans = parse_vlans(piece.substr(at + 1), '.');
      piece = piece.substr(0, at);
    }
    std::size_t index = 0;
    while (index < kind_count && kind_names[index] != piece) ++index;
    if (index == kind_count)
      refuse(piece, "is no kind of packet", "kinds are udp4 udp6 tcp4 tcp6 icmp4 icmp6 dns4 dns6");
    entry.kind = static_cast<Kind>(index);
    mix.push_back(entry);
  }
  return mix;
}

std::vector<SizeEntry> parse_sizes(std::string_view text) {
  if (text == "imix") return {{60, 7}, {590, 4}, {1514, 1}};
  std::vector<SizeEntry> sizes;
  for (std::string_view piece : split(text, ',')) {
    SizeEntry entry;
    entry.weight = take_weight(piece);
    const auto bytes = number(piece);
    if (!bytes || *bytes < 60 || *bytes > max_frame_bytes)
      refuse(piece, "is not a frame length", "must be 60..3506 bytes, without FCS, or imix");
    entry.frame_bytes = static_cast<std::uint16_t>(*bytes);
    sizes.push_back(entry);
  }
  return sizes;
}

VlanTags parse_vlans(std::string_view text, char separator) {
  const auto pieces = split(text, separator);
  VlanTags tags{};
  if (pieces.size() > tags.size()) refuse(text, "has more than two VLAN tags");
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto id = number(pieces[i]);
    if (!id || *id < 1 || *id > 4094) refuse(text, "is no VLAN identifier", "must be 1..4094");
    tags[i] = static_cast<std::uint16_t>(*id);
  }
  return tags;
}

MacAddress parse_mac(std::string_view text) {
  const auto pieces = split(text, ':');
  MacAddress mac{};
  bool good = pieces.size() == mac.size();
  for (std::size_t i = 0; good && i < mac.size(); ++i) {
    const std::string_view piece = pieces[i];
    const auto [end, error] = std::from_chars(piece.data(), piece.data() + piece.size(), mac[i], 16);
    good = piece.size() == 2 && error == std::errc{} && end == piece.data() + 2;
  }
  if (!good) refuse(text, "is not six pairs of hexadecimal digits", "write it as 02:00:00:00:00:01");
  return mac;
}

std::uint32_t parse_ipv4(std::string_view text) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) refuse(text, "is no IPv4 address");
  return ntohl(address.s_addr);
}

Ipv6Address parse_ipv6(std::string_view text) {
  Ipv6Address address{};
  if (inet_pton(AF_INET6, std::string(text).c_str(), address.data()) != 1) refuse(text, "is no IPv6 address");
  return address;
}

}  // namespace engine::gen
