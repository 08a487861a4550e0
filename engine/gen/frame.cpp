// Frames from Ethernet to payload, with the sums that make a packet's checksums a handful of additions.
#include "engine/gen/frame.h"

#include <arpa/inet.h>
#include <endian.h>

#include <cstring>

#include "engine/gen/byte_writer.h"
#include "engine/gen/checksum.h"
#include "engine/gen/dns.h"

namespace engine::gen {
namespace {

constexpr std::uint16_t port_discard = 9, port_http = 80, port_dns = 53;
constexpr std::uint8_t proto_icmp = 1, proto_tcp = 6, proto_udp = 17, proto_icmp6 = 58;

std::uint8_t transport_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::tcp4:
    case Kind::tcp6:
      return proto_tcp;
    case Kind::icmp4:
      return proto_icmp;
    case Kind::icmp6:
      return proto_icmp6;
    default:
      return proto_udp;
  }
}

std::size_t transport_header_bytes(Kind kind) noexcept { return transport_of(kind) == proto_tcp ? 20 : 8; }

void add_ethernet(ByteWriter& out, const TrafficSpec& spec, Kind kind, VlanTags vlans) {
  out.raw(std::span(spec.destination));
  out.raw(std::span(spec.source));
  if (vlans[0] != 0) {
    out.u16(vlans[1] != 0 ? 0x88a8 : 0x8100);  // IEEE 802.1Q: the outer of two tags is a service tag
    out.u16(vlans[0]);
  }
  if (vlans[1] != 0) {
    out.u16(0x8100);
    out.u16(vlans[1]);
  }
  out.u16(is_ipv6(kind) ? 0x86dd : 0x0800);
}

// `reverse`: from the server to the flow's client.
void add_ip(ByteWriter& out, gen_frame_layout& layout, const TrafficSpec& spec, Kind kind, std::size_t payload_bytes,
            bool reverse) {
  const std::uint16_t start = out.at();
  if (is_ipv6(kind)) {
    out.u32(0x60000000);
    out.u16(static_cast<unsigned>(payload_bytes));
    out.u8(transport_of(kind));
    out.u8(64);
    out.raw(std::span(reverse ? spec.destination6 : spec.source6));
    out.raw(std::span(reverse ? spec.source6 : spec.destination6));
    std::memcpy(&layout.first_address, spec.source6.data() + 12, 4);
    layout.first_address = ntohl(layout.first_address);
    layout.address_off = static_cast<std::uint16_t>(start + (reverse ? 36 : 20));
    return;
  }
  out.u16(0x4500);
  out.u16(static_cast<unsigned>(payload_bytes + 20));
  out.u32(0x00004000);  // an atomic datagram: identification 0, don't fragment (RFC 6864)
  out.u8(64);
  out.u8(transport_of(kind));
  out.u16(0);
  out.u32(reverse ? spec.destination4 : spec.source4);
  out.u32(reverse ? spec.source4 : spec.destination4);
  layout.first_address = spec.source4;
  layout.address_off = static_cast<std::uint16_t>(start + (reverse ? 16 : 12));
  layout.ip_check_off = static_cast<std::uint16_t>(start + 10);
}

void add_transport(ByteWriter& out, gen_frame_layout& layout, const TrafficSpec& spec, Kind kind,
                   std::size_t payload_bytes, bool reverse) {
  const std::uint16_t start = out.at();
  const std::uint8_t proto = transport_of(kind);
  if (proto == proto_icmp || proto == proto_icmp6) {  // an echo request: RFC 792, RFC 4443
    out.u16(proto == proto_icmp ? 0x0800 : 0x8000);
    out.u16(0);
    out.u32(0);
    layout.port_off = static_cast<std::uint16_t>(start + 4);
    layout.serial_off = static_cast<std::uint16_t>(start + 6);
    layout.transport_check_off = static_cast<std::uint16_t>(start + 2);
    layout.covers_address = proto == proto_icmp6;
    return;
  }
  std::uint16_t service = proto == proto_tcp ? port_http : port_discard;
  if (spec.destination_port != 0) service = spec.destination_port;
  if (is_dns(kind)) service = port_dns;
  out.u16(reverse ? service : 0);
  out.u16(reverse ? 0 : service);
  layout.port_off = static_cast<std::uint16_t>(start + (reverse ? 2 : 0));
  layout.covers_address = 1;
  if (proto == proto_udp) {
    out.u16(static_cast<unsigned>(payload_bytes + 8));
    out.u16(0);
    layout.transport_check_off = static_cast<std::uint16_t>(start + 6);
    layout.zero_is_ffff = 1;
    return;
  }
  // A segment of an established connection; none is set up, so sequence numbers stay at 1.
  out.u32(1);
  out.u32(1);
  out.u16(payload_bytes > 0 ? 0x5018 : 0x5010);  // 20 bytes of header, ACK, PSH if there is data
  out.u16(65535);
  out.u32(0);
  layout.transport_check_off = static_cast<std::uint16_t>(start + 16);
}

// Sums with the varying fields zero. They fit 32 bits: at most 1,753 words of 16 bits.
void take_sums(std::span<std::byte> frame, gen_frame_layout& layout, Kind kind, std::size_t ip_off,
               std::size_t transport_off) {
  std::memset(frame.data() + layout.address_off, 0, 4);
  std::uint64_t sum = sum_bytes(frame.subspan(transport_off));
  if (layout.covers_address) {  // the pseudo-header: RFC 768, RFC 8200 section 8.1
    const std::size_t addresses_bytes = is_ipv6(kind) ? 32 : 8;
    sum += sum_bytes(frame.subspan(transport_off - addresses_bytes, addresses_bytes));
    sum += htons(transport_of(kind)) + htons(static_cast<std::uint16_t>(frame.size() - transport_off));
  }
  layout.transport_sum = static_cast<std::uint32_t>(sum);
  if (layout.ip_check_off != 0) layout.ip_sum = static_cast<std::uint32_t>(sum_bytes(frame.subspan(ip_off, 20)));
}

FrameTemplate build(const TrafficSpec& spec, Kind kind, VlanTags vlans, std::span<const std::byte> payload,
                    bool reverse) {
  ByteWriter out;
  FrameTemplate result;
  result.kind = kind;
  add_ethernet(out, spec, kind, vlans);
  const std::size_t ip_off = out.at();
  add_ip(out, result.layout, spec, kind, transport_header_bytes(kind) + payload.size(), reverse);
  const std::size_t transport_off = out.at();
  add_transport(out, result.layout, spec, kind, payload.size(), reverse);
  const std::uint16_t payload_off = out.at();
  out.raw(payload);
  if (is_dns(kind)) {
    result.layout.serial_off = static_cast<std::uint16_t>(payload_off + dns_serial_off);
  } else if (payload.size() >= stamp_bytes) {
    result.layout.stamp_off = payload_off;
  }
  take_sums(out.bytes(), result.layout, kind, ip_off, transport_off);
  result.layout.frame_bytes = out.at();
  result.bytes = out.take();
  return result;
}

std::size_t header_bytes(Kind kind, VlanTags vlans) {
  return 14 + (vlans[0] != 0 ? 4 : 0) + (vlans[1] != 0 ? 4 : 0) + (is_ipv6(kind) ? 40 : 20) +
         transport_header_bytes(kind);
}

}  // namespace

FrameTemplate build_frame(const TrafficSpec& spec, Kind kind, VlanTags vlans, std::uint16_t frame_bytes) {
  const std::size_t headers = header_bytes(kind, vlans);
  std::vector<std::byte> payload(frame_bytes > headers ? frame_bytes - headers : 0);
  const bool stamp = payload.size() >= stamp_bytes;
  for (std::size_t i = stamp ? stamp_bytes : 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i);
  return build(spec, kind, vlans, payload, false);
}

FrameTemplate build_dns_frame(const TrafficSpec& spec, Kind kind, VlanTags vlans, std::size_t name, bool response) {
  return build(spec, kind, vlans, build_dns_message(name, response), response);
}

void patch(const gen_frame_layout& layout, const Variation& variation, std::byte* frame) noexcept {
  const std::uint32_t address = htonl(layout.first_address + variation.flow);
  const std::uint16_t port = htons(static_cast<std::uint16_t>(GEN_FIRST_PORT + variation.flow % GEN_PORTS));
  std::memcpy(frame + layout.address_off, &address, 4);
  std::memcpy(frame + layout.port_off, &port, 2);
  std::uint64_t sum = std::uint64_t{layout.transport_sum} + port;
  if (layout.covers_address) sum += sum_word32(address);
  if (layout.serial_off != 0) {
    const std::uint16_t serial = htons(variation.serial);
    std::memcpy(frame + layout.serial_off, &serial, 2);
    sum += serial;
  }
  if (layout.stamp_off != 0) {
    const std::uint64_t stamp[2] = {htobe64(variation.sequence), htobe64(variation.stamp_ns)};
    std::memcpy(frame + layout.stamp_off, stamp, sizeof stamp);
    sum += sum_word64(stamp[0]) + sum_word64(stamp[1]);
  }
  std::uint16_t check = finish(sum);
  if (check == 0 && layout.zero_is_ffff) check = 0xffff;
  std::memcpy(frame + layout.transport_check_off, &check, 2);
  if (layout.ip_check_off != 0) {
    check = finish(std::uint64_t{layout.ip_sum} + sum_word32(address));
    std::memcpy(frame + layout.ip_check_off, &check, 2);
  }
}

}  // namespace engine::gen
