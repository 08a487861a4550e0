#include "tests/bpf/root_model.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace bpf_test {
namespace {

unsigned u16(const Frame& frame, std::size_t at) { return static_cast<unsigned>(frame[at] << 8 | frame[at + 1]); }

Address address_at(const Frame& frame, std::size_t at, std::size_t size) {
  Address address = {};
  if (size == 4) address[10] = address[11] = 0xff;
  std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), size, address.end() - static_cast<std::ptrdiff_t>(size));
  return address;
}

// Where the transport header begins, and its protocol; no place for a later fragment or a chain that is cut off.
struct Transport {
  std::optional<std::size_t> at;
  std::uint8_t protocol;
};

Transport ipv6_transport(const Frame& frame, std::size_t header_at) {
  static const std::set<int> extensions = {0, 43, 44, 51, 60, 135, 139, 140};
  std::size_t at = header_at + 40;
  std::uint8_t protocol = frame[header_at + 6];
  for (int depth = 0; extensions.contains(protocol); ++depth) {
    if (depth == 8 || at + 8 > frame.size()) return {std::nullopt, protocol};
    const std::size_t units = frame[at + 1];
    const std::size_t bytes = protocol == 44 ? 8 : protocol == 51 ? (units + 2) * 4 : (units + 1) * 8;
    if (at + bytes > frame.size()) return {std::nullopt, protocol};
    const bool later = protocol == 44 && (u16(frame, at + 2) & 0xfff8) != 0;
    protocol = frame[at];
    at += bytes;
    if (later) return {std::nullopt, protocol};
  }
  return {at, protocol};
}

Transport transport_of(const Frame& frame, const Origin& origin) {
  if (origin.family == 6) return ipv6_transport(frame, origin.header_at);
  const bool later = (u16(frame, origin.header_at + 6) & 0x1fff) != 0;
  const std::size_t at = origin.header_at + 4 * (frame[origin.header_at] & 0xfU);
  return {later ? std::nullopt : std::optional(at), frame[origin.header_at + 9]};
}

}  // namespace

std::optional<Origin> origin_of(const Frame& frame) {
  std::size_t at = 12;
  const auto is_tag = [](unsigned type) { return type == ETH_P_8021Q || type == ETH_P_8021AD || type == 0x9100; };
  for (int tags = 0; tags < 2 && is_tag(u16(frame, at)); ++tags) {
    at += 4;
    if (frame.size() < at + 2) return std::nullopt;
  }
  const unsigned type = u16(frame, at);
  at += 2;
  if (type == ETH_P_IP && frame.size() >= at + 20)
    return Origin{4, address_at(frame, at + 12, 4), address_at(frame, at + 16, 4), at};
  if (type == ETH_P_IPV6 && frame.size() >= at + 40)
    return Origin{6, address_at(frame, at + 8, 16), address_at(frame, at + 24, 16), at};
  return std::nullopt;
}

std::optional<root_flow> flow_of(const Frame& frame) {
  const std::optional<Origin> origin = origin_of(frame);
  if (!origin) return std::nullopt;
  const std::uint8_t first = frame[origin->header_at];
  if (first >> 4 != origin->family || (origin->family == 4 && (first & 0xf) < 5)) return std::nullopt;
  const Transport transport = transport_of(frame, *origin);
  std::array<__be16, 2> ports = {};
  const bool has_ports = transport.protocol == IPPROTO_TCP || transport.protocol == IPPROTO_UDP ||
                         transport.protocol == IPPROTO_SCTP || transport.protocol == IPPROTO_UDPLITE;
  if (has_ports && transport.at && *transport.at + 4 <= frame.size())
    std::memcpy(ports.data(), frame.data() + *transport.at, 4);
  root_block_address source, target;
  std::copy(origin->source.begin(), origin->source.end(), source.bytes);
  std::copy(origin->target.begin(), origin->target.end(), target.bytes);
  root_flow flow = {};
  root_flow_of(&source, ports[0], &target, ports[1], transport.protocol, &flow);
  return flow;
}

void RootModel::block(const std::string& text) {
  const std::size_t slash = text.find('/');
  const std::string host = text.substr(0, slash);
  Entry entry = {};
  entry.family = host.find(':') == std::string::npos ? 4 : 6;
  inet_pton(entry.family == 4 ? AF_INET : AF_INET6, host.c_str(), entry.bytes.data());
  entry.prefix_bits = slash == std::string::npos ? (entry.family == 4 ? 32 : 128)
                                                 : static_cast<unsigned>(std::stoi(text.substr(slash + 1)));
  entries_.push_back(entry);
}

// A v4-mapped source in an IPv6 header counts as the IPv4 address (bpf/root_abi.h).
bool RootModel::is_blocked(const Origin& origin) const {
  static constexpr std::array<std::uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const int family = std::equal(mapped.begin(), mapped.end(), origin.source.begin()) ? 4 : 6;
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    if (entry.family != family) return false;
    const std::uint8_t* source = origin.source.data() + (entry.family == 4 ? 12 : 0);
    for (unsigned bit = 0; bit < entry.prefix_bits; ++bit)
      if (((entry.bytes[bit / 8] ^ source[bit / 8]) >> (7 - bit % 8)) & 1) return false;
    return true;
  });
}

std::uint32_t RootModel::judge(const Frame& frame) {
  ++counters_.xdp_seen;
  if (const std::optional<Origin> origin = origin_of(frame)) {
    if (is_blocked(*origin)) return ++counters_.blocked, XDP_DROP;
    const std::optional<root_flow> flow = flow_of(frame);
    if (const auto bypassed = flow ? flows_.find(*flow) : flows_.end(); bypassed != flows_.end()) {
      ++bypassed->second.packets;
      bypassed->second.bytes += frame.size();
      return ++counters_.bypassed, XDP_PASS;
    }
    if (allowed_) {
      std::uint64_t& sent = sent_[origin->source];
      if (sent == *allowed_) return ++counters_.rate_limited, XDP_DROP;
      ++sent;
    }
  }
  if (filter_ && !filter_->matches(frame)) return ++counters_.passed, XDP_PASS;
  return ++counters_.redirected, XDP_REDIRECT;
}

}  // namespace bpf_test
