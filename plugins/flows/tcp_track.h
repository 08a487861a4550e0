// What a flow learns from one of its TCP segments: its state, retransmissions, round-trip times. Pure functions over
// the flow; any thread, nothing allocates.
//
// State, after RFC 9293 as far as one can tell from the middle: syn_sent, syn_received, established (also a connection
// whose beginning was not seen), closing (one side has sent FIN), closed (both have, and both were acknowledged),
// reset.
//
// Retransmissions: segments with payload, SYN or FIN that begin below the highest sequence number which their side has
// reached. A keep-alive (RFC 9293, section 3.8.4: at most one byte, the last one again) is none. Segments that were
// reordered on their way count: from one point they can't be told from those that were sent again.
//
// Round-trip times, measured where the capture is: from SYN to SYN/ACK is the way to the responder and back, from
// SYN/ACK to the first ACK the way to the initiator and back. Where the first of two was sent again it is not known
// which of them was answered: that part is none (Karn's rule, RFC 6298, section 3).
#pragma once

#include <cstdint>

#include "plugins/flows/flow_key.h"

namespace plugins {

enum TcpFlag : std::uint8_t { kFin = 1, kSyn = 2, kRst = 4, kAck = 16 };

inline unsigned initiator_of(const engine_flow& flow) noexcept { return flow.marks & ENGINE_FLOW_INITIATOR; }
inline bool has_mark(const engine_flow& flow, engine_flow_mark mark, unsigned side = 0) noexcept {
  return (flow.marks & mark << side) != 0;
}
inline void set_mark(engine_flow& flow, engine_flow_mark mark, unsigned side = 0) noexcept {
  flow.marks = static_cast<std::uint16_t>(flow.marks | mark << side);
}

inline std::uint64_t flow_id(const engine_flow& flow) noexcept {
  return flow_id(flow.key, has_mark(flow, ENGINE_FLOW_HANDSHAKE), flow.isn);
}

// A flow_id as text, of 16 bytes: JSON's readers keep 53 bits of a number.
inline void write_hex(std::uint64_t value, char* text) noexcept {
  for (int i = 15; i >= 0; --i, value >>= 4) text[i] = "0123456789abcdef"[value & 15];
}

// Payload on the wire: what the capture cut off counts.
inline std::uint32_t wire_payload(const engine_packet& packet) noexcept {
  if (packet.payload_off == 0) return 0;
  return packet.payload_len + (packet.len > packet.caplen ? packet.len - packet.caplen : 0);
}

// Before the first segment is tracked: who began, and which connection of these endpoints it is.
void begin_tcp(engine_flow& flow, const engine_packet& packet, unsigned side) noexcept;
void track_tcp(engine_flow& flow, const engine_packet& packet, unsigned side) noexcept;

// Parts of the round trip, in ns; -1: none.
struct FlowRtt {
  double responder_ns;
  double initiator_ns;
};
inline FlowRtt rtt_of(const engine_flow& flow) noexcept {
  const bool responder = flow.syn_at >= 0 && flow.syn_ack_at >= flow.syn_at && !has_mark(flow, ENGINE_FLOW_SYN_AGAIN);
  const bool initiator =
      flow.syn_ack_at >= 0 && flow.ack_at >= flow.syn_ack_at && !has_mark(flow, ENGINE_FLOW_SYN_ACK_AGAIN);
  return {responder ? flow.syn_ack_at - flow.syn_at : -1, initiator ? flow.ack_at - flow.syn_ack_at : -1};
}

// A SYN that opens another connection between the endpoints of one that has ended or is about to.
inline bool opens_anew(const engine_flow& flow, const engine_packet& packet) noexcept {
  if ((packet.tcp_flags & (kSyn | kAck | kRst)) != kSyn || flow.state < ENGINE_FLOW_CLOSING) return false;
  return !has_mark(flow, ENGINE_FLOW_HANDSHAKE) || packet.tcp_seq != flow.isn;
}

}  // namespace plugins
