#include "plugins/flows/flow_halves.h"

#include <algorithm>
#include <cstring>

#include "plugins/flows/flow_key.h"
#include "plugins/flows/tcp_track.h"

namespace plugins {
namespace {

engine_flow& flow_in(const std::unique_ptr<std::byte[]>& row) noexcept {
  return *reinterpret_cast<engine_flow*>(row.get());
}

std::byte* user_of(engine_flow& flow) noexcept { return reinterpret_cast<std::byte*>(&flow + 1); }

void join_handshake(engine_flow& flow, const engine_flow& other) noexcept {
  const bool mine = has_mark(flow, ENGINE_FLOW_HANDSHAKE), theirs = has_mark(other, ENGINE_FLOW_HANDSHAKE);
  const bool take_theirs = !mine && (theirs || other.first < flow.first);
  if (take_theirs) {
    flow.isn = other.isn;
    flow.marks = static_cast<std::uint16_t>((flow.marks & ~ENGINE_FLOW_INITIATOR) | initiator_of(other));
  }
  flow.syn_at = std::max(flow.syn_at, other.syn_at);
  flow.syn_ack_at = std::max(flow.syn_ack_at, other.syn_ack_at);
  flow.ack_at = std::max(flow.ack_at, other.ack_at);
}

void join_state(engine_flow& flow, const engine_flow& other) noexcept {
  constexpr std::uint16_t both = 3 * ENGINE_FLOW_FIN;
  const std::uint8_t later = flow.last >= other.last ? flow.reason : other.reason;
  if (proto_of(flow.key) != kTcp || (flow.state == ENGINE_FLOW_NEW && other.state == ENGINE_FLOW_NEW)) {
    flow.state = ENGINE_FLOW_ESTABLISHED;
  } else {
    flow.state = std::max(flow.state, other.state);
    if (flow.state < ENGINE_FLOW_RESET && (flow.marks & both) == both) flow.state = ENGINE_FLOW_CLOSED;
  }
  flow.reason = later;
  if (flow.state == ENGINE_FLOW_RESET) flow.reason = ENGINE_FLOW_ENDED_RST;
  if (flow.state == ENGINE_FLOW_CLOSED) flow.reason = ENGINE_FLOW_ENDED_FIN;
}

}  // namespace

bool is_half(const engine_flow& flow, unsigned& side) noexcept {
  const bool first = has_mark(flow, ENGINE_FLOW_SEEN, 0), second = has_mark(flow, ENGINE_FLOW_SEEN, 1);
  side = second;
  return first != second;
}

void join_halves(engine_flow& flow, const engine_flow& other) noexcept {
  const unsigned side = has_mark(other, ENGINE_FLOW_SEEN, 1);
  flow.packets[side] = other.packets[side];
  flow.bytes[side] = other.bytes[side];
  flow.payload[side] = other.payload[side];
  flow.end[side] = other.end[side];
  flow.retransmissions[side] = other.retransmissions[side];
  flow.flags[side] = other.flags[side];
  join_handshake(flow, other);
  flow.marks = static_cast<std::uint16_t>(flow.marks | (other.marks & ~ENGINE_FLOW_INITIATOR) | ENGINE_FLOW_SPLIT);
  join_state(flow, other);
  flow.first = std::min(flow.first, other.first);
  flow.last = std::max(flow.last, other.last);
  flow.started = std::min(flow.started, other.started);
}

FlowHalves::FlowHalves(double idle_ns, const FlowFields& fields, std::size_t stride_bytes)
    : hold_ns_(idle_ns + kMargin_ns), fields_(fields), stride_bytes_(stride_bytes) {}

FlowHalves::Row FlowHalves::copy(const engine_flow& flow) const {
  Row row = std::make_unique_for_overwrite<std::byte[]>(stride_bytes_);
  std::memcpy(row.get(), &flow, stride_bytes_);
  return row;
}

void FlowHalves::add(const engine_flow& flow, const Publish& publish) {
  unsigned side = 0;
  if (!is_half(flow, side)) return publish(flow);
  const std::uint64_t hash = hash_key(flow.key, secrets_);
  auto best = by_key_.end();
  for (auto [at, end] = by_key_.equal_range(hash); at != end; ++at) {
    const engine_flow& held = flow_in(at->second->second);
    const bool near = held.first <= flow.last + hold_ns_ && flow.first <= held.last + hold_ns_;
    if (!same_key(held.key, flow.key) || has_mark(held, ENGINE_FLOW_SEEN, side) || !near) continue;
    if (best == by_key_.end() || held.first < flow_in(best->second->second).first) best = at;
  }
  if (best != by_key_.end()) {
    engine_flow& whole = flow_in(best->second->second);
    Row other = copy(flow);
    join_halves(whole, flow);
    fields_.join(user_of(whole), user_of(flow_in(other)));
    publish(whole);
    held_.erase(best->second);
    by_key_.erase(best);
    return;
  }
  by_key_.emplace(hash, held_.emplace(flow.last, copy(flow)));
  if (held_.size() > kMostHeld) publish_oldest(publish);
}

void FlowHalves::forget(Held::iterator held) {
  for (auto [at, end] = by_key_.equal_range(hash_key(flow_in(held->second).key, secrets_)); at != end; ++at) {
    if (at->second != held) continue;
    by_key_.erase(at);
    break;
  }
  held_.erase(held);
}

void FlowHalves::publish_oldest(const Publish& publish) {
  publish(flow_in(held_.begin()->second));
  forget(held_.begin());
}

void FlowHalves::release(double now_ns, const Publish& publish) {
  while (!held_.empty() && held_.begin()->first + hold_ns_ <= now_ns) publish_oldest(publish);
}

}  // namespace plugins
