#include "plugins/flows/tcp_track.h"

namespace plugins {
namespace {

// The largest window there is (RFC 7323, section 2.2): what lies further away belongs to no segment of this stream.
constexpr std::int32_t kLargestWindow = 1 << 30;

std::int32_t distance(std::uint32_t from, std::uint32_t to) noexcept { return static_cast<std::int32_t>(to - from); }

void track_sequence(engine_flow& flow, const engine_packet& packet, unsigned side) noexcept {
  const std::uint8_t flags = packet.tcp_flags;
  const std::uint32_t payload = wire_payload(packet);
  const std::uint32_t length = payload + ((flags & kSyn) != 0) + ((flags & kFin) != 0);
  if (length == 0) return;
  const std::uint32_t end = packet.tcp_seq + length;
  const std::int32_t begins = distance(flow.end[side], packet.tcp_seq);
  if (!has_mark(flow, ENGINE_FLOW_SEQUENCE, side) || begins > kLargestWindow || begins < -kLargestWindow) {
    set_mark(flow, ENGINE_FLOW_SEQUENCE, side);
    flow.end[side] = end;
    return;
  }
  const bool keep_alive = begins == -1 && payload <= 1 && (flags & (kSyn | kFin)) == 0;
  if (begins < 0 && !keep_alive) ++flow.retransmissions[side];
  if (distance(flow.end[side], end) > 0) flow.end[side] = end;
}

void track_syn(engine_flow& flow, const engine_packet& packet, unsigned side) noexcept {
  if ((packet.tcp_flags & kAck) == 0) {
    if (flow.state > ENGINE_FLOW_SYN_RECEIVED) return;
    if (side != initiator_of(flow)) {
      flow.state = ENGINE_FLOW_SYN_RECEIVED;  // both opened at once (RFC 9293, figure 8)
    } else if (flow.syn_at < 0) {
      flow.syn_at = packet.time;
      flow.state = ENGINE_FLOW_SYN_SENT;
    } else if (flow.syn_ack_at < 0) {
      set_mark(flow, ENGINE_FLOW_SYN_AGAIN);
    }
    return;
  }
  if (side == initiator_of(flow) || packet.tcp_ack != flow.isn + 1) return;
  if (flow.syn_ack_at >= 0) {
    if (flow.ack_at < 0) set_mark(flow, ENGINE_FLOW_SYN_ACK_AGAIN);
    return;
  }
  flow.syn_ack_at = packet.time;
  if (flow.state < ENGINE_FLOW_SYN_RECEIVED) flow.state = ENGINE_FLOW_SYN_RECEIVED;
}

// The other side's SYN/ACK need not have been seen: in a half of a connection it never is.
void track_ack(engine_flow& flow, const engine_packet& packet, unsigned side) noexcept {
  const unsigned other = side ^ 1;
  const bool from_initiator = side == initiator_of(flow);
  if (from_initiator && flow.state <= ENGINE_FLOW_SYN_RECEIVED && has_mark(flow, ENGINE_FLOW_HANDSHAKE) &&
      flow.ack_at < 0 && (!has_mark(flow, ENGINE_FLOW_SEQUENCE, other) || packet.tcp_ack == flow.end[other])) {
    flow.ack_at = packet.time;
  }
  const bool opened = flow.state == ENGINE_FLOW_NEW || flow.state == ENGINE_FLOW_SYN_RECEIVED ||
                      (flow.state == ENGINE_FLOW_SYN_SENT && from_initiator);
  if (opened) flow.state = ENGINE_FLOW_ESTABLISHED;
  if (has_mark(flow, ENGINE_FLOW_FIN, other) && distance(flow.end[other], packet.tcp_ack) >= 0) {
    set_mark(flow, ENGINE_FLOW_FIN_ACKED, other);
  }
}

}  // namespace

void begin_tcp(engine_flow& flow, const engine_packet& packet, unsigned side) noexcept {
  if ((packet.tcp_flags & kSyn) == 0 || (packet.tcp_flags & kRst) != 0) return;
  const bool answer = (packet.tcp_flags & kAck) != 0;
  flow.isn = answer ? packet.tcp_ack - 1 : packet.tcp_seq;
  flow.marks = static_cast<std::uint16_t>(ENGINE_FLOW_HANDSHAKE | (answer ? side ^ 1 : side));
}

void track_tcp(engine_flow& flow, const engine_packet& packet, unsigned side) noexcept {
  const std::uint8_t flags = packet.tcp_flags;
  flow.flags[side] |= flags;
  if ((flags & kRst) != 0) {
    flow.state = ENGINE_FLOW_RESET;
    return;
  }
  track_sequence(flow, packet, side);
  if ((flags & kSyn) != 0) {
    track_syn(flow, packet, side);
  } else if ((flags & kAck) != 0) {
    track_ack(flow, packet, side);
  }
  if (flow.state == ENGINE_FLOW_RESET) return;
  if ((flags & kFin) != 0) {
    set_mark(flow, ENGINE_FLOW_FIN, side);
    if (flow.state < ENGINE_FLOW_CLOSING) flow.state = ENGINE_FLOW_CLOSING;
  }
  constexpr std::uint16_t both = 3 * ENGINE_FLOW_FIN_ACKED;
  if ((flow.marks & both) == both) flow.state = ENGINE_FLOW_CLOSED;
}

}  // namespace plugins
