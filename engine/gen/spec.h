// What traffic is to be made: plain values, filled from the command line or by a test, and the parsers of
// their text, which throw cli::BadValue.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace engine::gen {

enum class Kind : std::uint8_t { udp4, udp6, tcp4, tcp6, icmp4, icmp6, dns4, dns6 };
inline constexpr std::size_t kind_count = 8;

std::string_view name_of(Kind kind) noexcept;
constexpr bool is_ipv6(Kind kind) noexcept {
  return kind == Kind::udp6 || kind == Kind::tcp6 || kind == Kind::icmp6 || kind == Kind::dns6;
}
constexpr bool is_dns(Kind kind) noexcept { return kind == Kind::dns4 || kind == Kind::dns6; }

using MacAddress = std::array<std::uint8_t, 6>;
using Ipv6Address = std::array<std::uint8_t, 16>;

// VLAN identifiers, outer first; 0 where there is no tag.
using VlanTags = std::array<std::uint16_t, 2>;

struct MixEntry {
  Kind kind = Kind::udp4;
  std::uint32_t weight = 1;
  VlanTags vlans{};
};

// Lengths of Ethernet frames as they are handed to the kernel: without the 4 bytes of FCS, tags included.
struct SizeEntry {
  std::uint16_t frame_bytes = 64;
  std::uint32_t weight = 1;
};

struct TrafficSpec {
  std::vector<MixEntry> mix{MixEntry{}};
  std::vector<SizeEntry> sizes{SizeEntry{}};
  VlanTags vlans{};  // for entries of the mix without tags of their own
  std::uint32_t flows = 1;
  double zipf = 0;  // exponent; 0: every flow has the same share
  std::uint64_t seed = 1;
  // Unicast and locally administered: nobody's, so a receiver's own stack lets it be. Broadcast would load every host.
  MacAddress destination{0x02, 0, 0, 0, 0, 0x02};
  MacAddress source{0x02, 0, 0, 0, 0, 0x01};
  // Flow 0's source, and everybody's destination; RFC 2544 and RFC 5180 set the destinations aside for benchmarks.
  std::uint32_t source4 = 0x0a000001;       // 10.0.0.1
  std::uint32_t destination4 = 0xc6120001;  // 198.18.0.1
  Ipv6Address source6{0x20, 0x01, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
  Ipv6Address destination6{0x20, 0x01, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  std::uint16_t destination_port = 0;  // 0: 9 (discard) for UDP, 80 for TCP; DNS is always 53
};

inline constexpr std::uint32_t max_flows = 16'000'000;      // sources lie in 10.0.0.0/8
inline constexpr std::uint32_t max_zipf_flows = 1'000'000;  // 8 bytes of table each
inline constexpr std::uint16_t max_frame_bytes = 3506;      // what one page holds beside the kernel's headroom

// TCP, UDP, ICMP and DNS over IPv4 and IPv6, some of it in one or two VLAN tags.
std::vector<MixEntry> realistic_mix();
// "realistic", "udp4", "udp4=4,tcp4@10=2,dns6@100.10": KIND[@VLAN[.INNER]][=WEIGHT], comma separated.
std::vector<MixEntry> parse_mix(std::string_view text);
// "imix", "64", "64=7,594=4": BYTES[=WEIGHT], comma separated. IMIX is 7:4:1 of 64, 594 and 1518 bytes on the wire,
// which is 60, 590 and 1514 without the FCS.
std::vector<SizeEntry> parse_sizes(std::string_view text);
// "10" or "100,10": outer, inner.
VlanTags parse_vlans(std::string_view text, char separator);
MacAddress parse_mac(std::string_view text);
std::uint32_t parse_ipv4(std::string_view text);  // in host order
Ipv6Address parse_ipv6(std::string_view text);

}  // namespace engine::gen
