// TCP (RFC 9293) with its options.
#include "plugins/protocols/bytes.h"
#include "plugins/protocols/headers.h"

namespace plugins::protocols {
namespace {

enum Option : std::uint8_t {
  kEnd = 0,
  kNop = 1,
  kMss = 2,
  kWindowScale = 3,    // RFC 7323, 2
  kSackPermitted = 4,  // RFC 2018
  kSack = 5,
  kTimestamps = 8  // RFC 7323, 3
};

void read_option(engine_tcp& tcp, std::uint8_t kind, Bytes option) noexcept {
  if (kind == kMss && option.size == 4) {
    tcp._mss = option.u16(2);
    tcp._has_mss = true;
  } else if (kind == kWindowScale && option.size == 3) {
    tcp._window_scale = option.u8(2);
    tcp._has_window_scale = true;
  } else if (kind == kSackPermitted && option.size == 2) {
    tcp._sack_permitted = true;
  } else if (kind == kSack && option.size > 2) {
    tcp._sack_blocks = static_cast<std::uint8_t>((option.size - 2) / 8);
  } else if (kind == kTimestamps && option.size == 10) {
    tcp._ts_val = option.u32(2);
    tcp._ts_ecr = option.u32(6);
    tcp._has_ts = true;
  }
}

// RFC 9293, 3.2: a kind, then, for all but two kinds, the length with these two bytes. What lies behind a broken length
// can't be told.
void read_options(engine_tcp& tcp, Bytes options) noexcept {
  for (std::uint32_t at = 0; options.has(at, 1);) {
    const std::uint8_t kind = options.u8(at);
    if (kind == kEnd) return;
    if (kind == kNop) {
      ++at;
      continue;
    }
    if (!options.has(at, 2)) return;
    const std::uint32_t length = options.u8(at + 1);
    if (length < 2 || !options.has(at, length)) return;
    read_option(tcp, kind, options.part(at, length));
    at += length;
  }
}

}  // namespace

bool parse_tcp(engine_tcp* tcp, const engine_cell* cell, const engine_packet* packet) noexcept {
  constexpr std::uint32_t kHeader_bytes = 20;
  if (packet->proto != kTcp || packet->l4_off == 0) return false;
  const Bytes header = frame_of(*cell, *packet).from(packet->l4_off);
  if (!header.has(0, kHeader_bytes)) return false;
  const std::uint32_t header_bytes = header.u8(12) / 16 * 4u;
  if (header_bytes < kHeader_bytes) return false;
  tcp->_src_port = packet->src_port;
  tcp->_dst_port = packet->dst_port;
  tcp->_seq = header.u32(4);
  tcp->_ack = header.u32(8);
  tcp->_header_len = static_cast<std::uint16_t>(header_bytes);
  tcp->_flags = header.u8(13);
  tcp->_window = header.u16(14);
  tcp->_checksum = header.u16(16);
  tcp->_urgent = header.u16(18);
  tcp->_payload_len = packet->payload_len;
  tcp->_mss = 0;
  tcp->_ts_val = tcp->_ts_ecr = 0;
  tcp->_window_scale = tcp->_sack_blocks = 0;
  tcp->_has_mss = tcp->_has_window_scale = tcp->_has_ts = tcp->_sack_permitted = false;
  read_options(*tcp, header.part(kHeader_bytes, header_bytes - kHeader_bytes));
  open(*tcp, *cell, *packet, packet->l4_off);
  return true;
}

}  // namespace plugins::protocols
