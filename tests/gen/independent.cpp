// Reads a packet as RFC 791, 8200, 768, 9293, 792 and 4443 lay it out, and checks lengths and checksums.
#include "tests/gen/independent.h"

namespace engine::gen::test {
namespace {

using Bytes = std::span<const std::byte>;

// RFC 1071, in the plainest way: big-endian words into a wide sum. A correct packet sums to 0xffff.
std::uint32_t ones_sum(Bytes bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto value = std::to_integer<std::uint32_t>(bytes[i]);
    sum += i % 2 == 0 ? value << 8 : value;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

Bytes read_ip(Bytes ip, Seen& seen) {
  seen.ip_version = static_cast<int>(number(ip, 0, 1) >> 4);
  if (seen.ip_version == 4) {
    const std::size_t header = (number(ip, 0, 1) & 15) * 4;
    if (ones_sum(ip.first(header)) != 0xffff) seen.fault = "IPv4 header checksum";
    if (number(ip, 2, 2) > ip.size()) return seen.fault = "IPv4 total length", Bytes{};
    seen.proto = static_cast<std::uint8_t>(number(ip, 9, 1));
    seen.source_low = number(ip, 12, 4);
    seen.destination_low = number(ip, 16, 4);
    return ip.subspan(header, number(ip, 2, 2) - header);
  }
  if (seen.ip_version != 6) return seen.fault = "IP version", Bytes{};
  if (number(ip, 4, 2) + 40 > ip.size()) return seen.fault = "IPv6 payload length", Bytes{};
  seen.proto = static_cast<std::uint8_t>(number(ip, 6, 1));
  seen.source_low = number(ip, 20, 4);
  seen.destination_low = number(ip, 36, 4);
  return ip.subspan(40, number(ip, 4, 2));
}

std::uint32_t pseudo_header(Bytes ip, const Seen& seen, std::size_t transport_bytes) {
  if (seen.proto == 1) return 0;
  const Bytes addresses = seen.ip_version == 4 ? ip.subspan(12, 8) : ip.subspan(8, 32);
  return ones_sum(addresses, static_cast<std::uint32_t>(seen.proto + transport_bytes));
}

void read_transport(Bytes ip, Bytes transport, Seen& seen) {
  std::size_t header = 8;
  if (ones_sum(transport, pseudo_header(ip, seen, transport.size())) % 0xffff != 0) seen.fault = "transport checksum";
  seen.source_port = static_cast<std::uint16_t>(number(transport, 0, 2));
  seen.destination_port = static_cast<std::uint16_t>(number(transport, 2, 2));
  switch (seen.proto) {
    case 17:
      if (number(transport, 4, 2) != transport.size()) seen.fault = "UDP length";
      if (number(transport, 6, 2) == 0) seen.fault = "UDP checksum left out";
      break;
    case 6:
      header = (number(transport, 12, 1) >> 4) * 4;
      break;
    case 1:
    case 58:
      if (number(transport, 0, 2) != (seen.proto == 1 ? 0x0800 : 0x8000)) seen.fault = "not an echo request";
      seen.source_port = static_cast<std::uint16_t>(number(transport, 4, 2));
      seen.destination_port = static_cast<std::uint16_t>(number(transport, 6, 2));
      break;
    default:
      seen.fault = "protocol";
  }
  seen.payload = transport.subspan(header);
}

}  // namespace

std::uint64_t number(Bytes bytes, std::size_t offset, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value = value << 8 | std::to_integer<std::uint64_t>(bytes[offset + i]);
  return value;
}

Seen read_packet(Bytes frame) {
  Seen seen;
  std::size_t at = 12;
  std::uint64_t type = number(frame, at, 2);
  for (; type == 0x8100 || type == 0x88a8; type = number(frame, at, 2)) {
    seen.vlans.push_back(static_cast<std::uint16_t>(number(frame, at + 2, 2) & 0xfff));
    at += 4;
  }
  if (type != 0x0800 && type != 0x86dd) return seen.fault = "EtherType", seen;
  const Bytes ip = frame.subspan(at + 2);
  const Bytes transport = read_ip(ip, seen);
  if ((seen.ip_version == 4) != (type == 0x0800)) seen.fault = "IP version against EtherType";
  if (!transport.empty()) read_transport(ip, transport, seen);
  return seen;
}

}  // namespace engine::gen::test
