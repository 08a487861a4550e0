#include "plugins/flows/flow_table.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "plugins/flows/tcp_track.h"

namespace plugins {
namespace {

constexpr std::uint32_t kEvictionSample = 8;
// Flows that fit into a core's own cache need no fetching.
constexpr std::size_t kCached_bytes = 256u << 10;
constexpr std::size_t kFirstRows_bytes = 2u << 20;  // a huge page

engine_flow_reason natural_reason(const engine_flow& flow) noexcept {
  if (flow.state == ENGINE_FLOW_RESET) return ENGINE_FLOW_ENDED_RST;
  return flow.state == ENGINE_FLOW_CLOSED ? ENGINE_FLOW_ENDED_FIN : ENGINE_FLOW_ENDED_IDLE;
}

bool is_empty(const engine_flow& flow) noexcept { return flow.packets[0] + flow.packets[1] == 0; }

}  // namespace

FlowTable::FlowTable(std::shared_ptr<const FlowOptions> options)
    : options_(std::move(options)),
      linger_ns_(std::min(kFlowLinger_ns, options_->idle_ns)),
      rows_(options_->max_flows, options_->fields.size_bytes()),
      index_(options_->max_flows),
      wheel_(rows_) {}

void FlowTable::attach(Part& part) noexcept {
  auto& to = static_cast<FlowPart&>(part);
  if (part_ != nullptr && options_->callback) to.counts().callbacks_lost += part_->size() - read_;
  part_ = &to;
  read_ = to.size();
}

void FlowTable::touch() noexcept {
  index_.touch();
  rows_.touch(kFirstRows_bytes);
}

// Two passes, so that the lines of many flows are on their way at once: first the index, then the flows it names.
void FlowTable::before_batch(const engine_packet* packets, const std::uint16_t* index, std::uint32_t count) noexcept {
  batch_ = nullptr;
  if (size_ * rows_.stride_bytes() < kCached_bytes || count > kMaxBatch) return;
  batch_ = packets;
  std::array<std::uint64_t, kMaxBatch> hashes;
  std::uint32_t known = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t place = index != nullptr ? index[i] : i;
    Looked& looked = looked_[place];
    if (!make_key(packets[place], looked.key)) continue;
    looked.time = packets[place].time;
    looked.off = packets[place]._off;
    hashes[known] = looked.hash = hash_key(looked.key.words, secrets_);
    index_.prefetch(hashes[known++]);
  }
  for (std::uint32_t i = 0; i < known; ++i) {
    const std::uint32_t row = index_.guess(hashes[i]);
    if (row == kNoRow) continue;
    __builtin_prefetch(&rows_[row], 1);
    __builtin_prefetch(&rows_[row].first, 1);
  }
}

// A packet that is no longer that batch's (a plugin kept it) is another one by its time or its place.
const FlowTable::Looked* FlowTable::looked_up(const engine_packet& packet) const noexcept {
  if (batch_ == nullptr || std::less<>()(&packet, batch_) || !std::less<>()(&packet, batch_ + kMaxBatch))
    return nullptr;
  const Looked& looked = looked_[static_cast<std::size_t>(&packet - batch_)];
  if (packet.ip_version == 0) return nullptr;
  return looked.time == packet.time && looked.off == packet._off ? &looked : nullptr;
}

engine_flow* FlowTable::add(const engine_packet& packet, unsigned& side) noexcept {
  engine_flow* flow = find_or_begin(packet, side);
  if (flow != nullptr) count(*flow, packet, side);
  return flow;
}

engine_flow* FlowTable::find_or_begin(const engine_packet& packet, unsigned& side) noexcept {
  FlowKey made;
  const Looked* looked = looked_up(packet);
  if (looked == nullptr && !make_key(packet, made)) return nullptr;
  const FlowKey& key = looked != nullptr ? looked->key : made;
  const std::uint64_t hash = looked != nullptr ? looked->hash : hash_key(key.words, secrets_);
  std::uint32_t row = index_.find(hash, [&](std::uint32_t at) { return same_key(rows_[at].key, key.words); });
  if (row != kNoRow && is_over(rows_[row], packet)) {
    const bool closing = rows_[row].state == ENGINE_FLOW_CLOSING && is_tcp(packet) && opens_anew(rows_[row], packet);
    end(row, closing ? ENGINE_FLOW_ENDED_FIN : natural_reason(rows_[row]));
    row = kNoRow;
  }
  if (row == kNoRow) row = begin(key, hash, packet);
  side = key.side;
  return &rows_[row];
}

bool FlowTable::is_over(const engine_flow& flow, const engine_packet& packet) const noexcept {
  return packet.time - flow.last >= limit_ns(flow) || (is_tcp(packet) && opens_anew(flow, packet));
}

double FlowTable::limit_ns(const engine_flow& flow) const noexcept {
  return flow.state >= ENGINE_FLOW_CLOSED ? linger_ns_ : options_->idle_ns;
}

double FlowTable::due_ns(const engine_flow& flow) const noexcept {
  const double idle = flow.last + limit_ns(flow);
  return is_empty(flow) ? idle : std::min(idle, flow.first + options_->active_ns);
}

std::uint32_t FlowTable::begin(const FlowKey& key, std::uint64_t hash, const engine_packet& packet) noexcept {
  const std::uint32_t row = free_row(packet.time);
  engine_flow& flow = rows_[row];
  std::memset(static_cast<void*>(&flow), 0, sizeof flow + std::min(options_->fields.size_bytes(), 8u));
  std::memcpy(flow.key, key.words, sizeof flow.key);
  flow.first = flow.last = flow.started = packet.time;
  flow.syn_at = flow.syn_ack_at = flow.ack_at = -1;
  flow.marks = static_cast<std::uint16_t>(key.side);
  if (is_tcp(packet)) begin_tcp(flow, packet, key.side);
  index_.insert(hash, row);
  wheel_.link(row, std::min(flow.last + options_->idle_ns, flow.first + options_->active_ns));
  ++size_;
  ++part_->counts().began;
  return row;
}

std::uint32_t FlowTable::free_row(double now_ns) noexcept {
  if (free_ == kNoRow) {
    if (touched_ < options_->max_flows) return touched_++;
    evict(now_ns);
  }
  const std::uint32_t row = free_;
  free_ = rows_[row].next;
  return row;
}

// Every row is in use. Neighbours are looked at, not random rows: their lines come with one another.
void FlowTable::evict(double now_ns) noexcept {
  const std::uint32_t sample = std::min(kEvictionSample, options_->max_flows);
  std::uint32_t chosen = kNoRow;
  for (std::uint32_t i = 0; i < sample; ++i) {
    if (eviction_hand_ >= options_->max_flows) eviction_hand_ = 0;
    if (chosen == kNoRow || due_ns(rows_[eviction_hand_]) < due_ns(rows_[chosen])) chosen = eviction_hand_;
    ++eviction_hand_;
  }
  // What will be looked at next time is on its way until then.
  for (std::uint32_t i = 0; i < sample && eviction_hand_ + i < options_->max_flows; ++i)
    __builtin_prefetch(&rows_[eviction_hand_ + i].first);
  const engine_flow& flow = rows_[chosen];
  if (flow.last + limit_ns(flow) <= now_ns) return end(chosen, natural_reason(flow));
  ++part_->counts().evicted;
  end(chosen, ENGINE_FLOW_ENDED_EVICTED);
}

void FlowTable::count(engine_flow& flow, const engine_packet& packet, unsigned side) noexcept {
  if (is_empty(flow)) {
    flow.first = packet.time;
  } else if (packet.time - flow.first >= options_->active_ns) {
    cut(flow);
    flow.first = packet.time;
  }
  flow.last = std::max(flow.last, packet.time);
  ++flow.packets[side];
  flow.bytes[side] += packet.len;
  flow.payload[side] += wire_payload(packet);
  set_mark(flow, ENGINE_FLOW_SEEN, side);
  if (is_tcp(packet)) {
    const bool was_open = flow.state < ENGINE_FLOW_CLOSED;
    track_tcp(flow, packet, side);
    if (was_open && flow.state >= ENGINE_FLOW_CLOSED) {
      const std::uint32_t row = rows_.number_of(flow);
      wheel_.unlink(row);
      wheel_.link(row, due_ns(flow));
    }
  } else if (has_mark(flow, ENGINE_FLOW_SEEN, side ^ 1) && flow.state == ENGINE_FLOW_NEW) {
    flow.state = ENGINE_FLOW_ESTABLISHED;
  }
}

void FlowTable::advance(double now_ns) noexcept {
  wheel_.advance(now_ns, [&](std::uint32_t row) { look_at(row, now_ns); });
  part_->counts().active = size_;
  part_->set_ground(now_ns, epoch_ns_, split_);
}

// A row that is in no slot of the wheel.
void FlowTable::look_at(std::uint32_t row, double now_ns) noexcept {
  engine_flow& flow = rows_[row];
  if (flow.last + limit_ns(flow) <= now_ns) return forget(row, natural_reason(flow));
  if (!is_empty(flow) && flow.first + options_->active_ns <= now_ns) cut(flow);
  wheel_.link(row, due_ns(flow));
}

// The record is over, the flow is not: what belongs to the connection stays, what was counted begins anew.
void FlowTable::cut(engine_flow& flow) noexcept {
  record(flow, ENGINE_FLOW_ENDED_ACTIVE);
  for (unsigned side = 0; side < 2; ++side) {
    flow.packets[side] = flow.bytes[side] = flow.payload[side] = 0;
    flow.retransmissions[side] = 0;
    flow.flags[side] = 0;
  }
  flow.syn_at = flow.syn_ack_at = flow.ack_at = -1;
}

void FlowTable::end(std::uint32_t row, engine_flow_reason reason) noexcept {
  wheel_.unlink(row);
  forget(row, reason);
}

void FlowTable::forget(std::uint32_t row, engine_flow_reason reason) noexcept {
  engine_flow& flow = rows_[row];
  if (!is_empty(flow)) record(flow, reason);
  index_.erase(hash_key(flow.key, secrets_), row);
  flow.next = free_;
  free_ = row;
  --size_;
  ++part_->counts().ended;
}

void FlowTable::record(const engine_flow& flow, engine_flow_reason reason) noexcept {
  const bool kept = part_->append(flow, reason);
  if (!options_->callback) return;
  if (kept) {
    if (pending_ != nullptr) ++*pending_;
  } else {
    ++part_->counts().callbacks_lost;
  }
}

void FlowTable::finish(double now_ns) noexcept {
  advance(now_ns);
  for (std::uint32_t row = 0; row < touched_; ++row) rows_[row].reason = 1;  // in use, unless it is free
  for (std::uint32_t row = free_; row != kNoRow; row = rows_[row].next) rows_[row].reason = 0;
  for (std::uint32_t row = 0; row < touched_; ++row)
    if (rows_[row].reason != 0) end(row, ENGINE_FLOW_ENDED_CAPTURE);
  part_->counts().active = 0;
}

engine_flow* FlowTable::next_ended() noexcept {
  if (read_ < part_->size()) return &(*part_)[read_++];
  if (!options_->published) {
    part_->clear();
    read_ = 0;
  }
  return nullptr;
}

}  // namespace plugins
