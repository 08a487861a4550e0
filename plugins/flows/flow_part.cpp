#include "plugins/flows/flow_part.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "plugins/flows/community_id.h"
#include "plugins/flows/flow_key.h"
#include "plugins/flows/tcp_track.h"

namespace plugins {
namespace {

constexpr std::size_t kKept_bytes = 2u << 20;  // of a part that has been emptied: one huge page
constexpr std::size_t kLeastRoom = 1024;       // of a merged part, which grows

constexpr const char* kStates[] = {"new", "syn_sent", "syn_received", "established", "closing", "closed", "reset"};
constexpr const char* kReasons[] = {"idle", "active", "fin", "rst", "evicted", "end"};

// The bytes in the order of their weight, as tcpdump prints them.
std::string flag_text(std::uint8_t flags) {
  constexpr char kLetters[] = {'F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'};
  std::string text;
  for (int i = 0; i < 8; ++i)
    if ((flags >> i & 1) != 0) text += kLetters[i];
  return text;
}

void publish_direction(std::string_view name, const engine_flow& flow, unsigned side, Visitor& visitor) {
  visitor.begin_object(name);
  visitor.unsigned_number("packets", flow.packets[side]);
  visitor.unsigned_number("bytes", flow.bytes[side]);
  visitor.unsigned_number("payload_bytes", flow.payload[side]);
  if (proto_of(flow.key) == kTcp) {
    visitor.text("flags", flag_text(flow.flags[side]));
    visitor.unsigned_number("retransmissions", flow.retransmissions[side]);
  }
  visitor.end_object();
}

void publish_rtt(const engine_flow& flow, Visitor& visitor) {
  const FlowRtt rtt = rtt_of(flow);
  if (rtt.responder_ns >= 0 && rtt.initiator_ns >= 0)
    visitor.real("rtt_ms", (rtt.responder_ns + rtt.initiator_ns) / 1e6);
  if (rtt.responder_ns >= 0) visitor.real("rtt_responder_ms", rtt.responder_ns / 1e6);
  if (rtt.initiator_ns >= 0) visitor.real("rtt_initiator_ms", rtt.initiator_ns / 1e6);
}

bool before(const engine_flow& a, const engine_flow& b) noexcept {
  if (a.first != b.first) return a.first < b.first;
  if (const int order = std::memcmp(a.key, b.key, sizeof a.key); order != 0) return order < 0;
  if (a.last != b.last) return a.last < b.last;
  return a.marks < b.marks;
}

void add(FlowCounts& sum, const FlowCounts& n) noexcept {
  sum.active += n.active;
  sum.began += n.began;
  sum.ended += n.ended;
  sum.evicted += n.evicted;
  sum.records_dropped += n.records_dropped;
  sum.callbacks_lost += n.callbacks_lost;
}

}  // namespace

FlowPart::FlowPart(std::shared_ptr<const FlowOptions> options, std::size_t room)
    : options_(std::move(options)), rows_(room, options_->fields.size_bytes()) {}

bool FlowPart::append(const engine_flow& flow, engine_flow_reason reason) noexcept {
  if (size_ == rows_.capacity()) {
    ++counts_.records_dropped;
    return false;
  }
  engine_flow& row = rows_[size_++];
  std::memcpy(static_cast<void*>(&row), &flow, sizeof flow + options_->fields.size_bytes());
  row.reason = reason;
  return true;
}

void FlowPart::take(const engine_flow& flow) {
  if (size_ == rows_.capacity()) rows_.reserve(std::max(kLeastRoom, 2 * size_));
  append(flow, static_cast<engine_flow_reason>(flow.reason));
}

void FlowPart::merge(const Part& other) {
  const auto& from = dynamic_cast<const FlowPart&>(other);
  for (std::size_t i = 0; i < from.size_; ++i) take(from[i]);
  add(counts_, from.counts_);
  now_ns_ = std::max(now_ns_, from.now_ns_);
  epoch_ns_ = std::max(epoch_ns_, from.epoch_ns_);
  split_ |= from.split_;
  order_.clear();
}

void FlowPart::clear() noexcept {
  if (size_ * rows_.stride_bytes() > kKept_bytes) rows_.forget_behind(kKept_bytes);
  size_ = 0;
  counts_ = {};
  order_.clear();
}

bool FlowPart::empty() const noexcept { return size_ == 0; }

std::unique_ptr<Part> FlowPart::make_empty() const { return std::make_unique<FlowPart>(options_, 0); }

std::string FlowPart::shape() const {
  return "flows, idle " + std::to_string(options_->idle_ns) + ", active " + std::to_string(options_->active_ns) +
         ", max " + std::to_string(options_->max_flows) + ", user " + options_->fields.text() +
         (options_->callback ? ", on_end" : "");
}

const engine_flow& FlowPart::in_order(std::size_t line) const {
  if (order_.empty()) {
    order_.resize(size_);
    std::iota(order_.begin(), order_.end(), 0u);
    std::sort(order_.begin(), order_.end(),
              [this](std::uint32_t a, std::uint32_t b) { return before(rows_[a], rows_[b]); });
  }
  return rows_[order_[line]];
}

void FlowPart::carry(const Part& interval) {
  const auto& from = dynamic_cast<const FlowPart&>(interval);
  if (!halves_) halves_ = std::make_unique<FlowHalves>(options_->idle_ns, options_->fields, rows_.stride_bytes());
  clear();
  counts_ = from.counts_;
  now_ns_ = std::max(now_ns_, from.now_ns_);
  epoch_ns_ = from.epoch_ns_;
  const FlowHalves::Publish publish = [this](const engine_flow& flow) { take(flow); };
  for (std::size_t i = 0; i < from.size_; ++i) halves_->add(from.in_order(i), publish);
  halves_->release(now_ns_, publish);
}

void FlowPart::finish() {
  clear();
  finished_ = true;
  if (halves_)
    halves_->release(std::numeric_limits<double>::infinity(), [this](const engine_flow& flow) { take(flow); });
}

void FlowPart::publish(Visitor& visitor) const {
  visitor.unsigned_number("active", counts_.active);
  visitor.unsigned_number("began", counts_.began);
  visitor.unsigned_number("ended", counts_.ended);
  visitor.unsigned_number("evicted", counts_.evicted);
  visitor.unsigned_number("records_dropped", counts_.records_dropped);
  visitor.unsigned_number("callbacks_lost", counts_.callbacks_lost);
}

void FlowPart::publish_line(std::size_t line, Visitor& visitor) const {
  if (line == size_) return publish(visitor);
  publish_flow(in_order(line), visitor);
}

void FlowPart::publish_flow(const engine_flow& flow, Visitor& visitor) const {
  const unsigned from = initiator_of(flow), to = from ^ 1;
  const FlowEndpoint source = endpoint_of(flow.key, from), destination = endpoint_of(flow.key, to);
  const auto utc = [this](double since_ns) {
    return epoch_ns_ + static_cast<std::uint64_t>(static_cast<std::int64_t>(since_ns));
  };
  char id[16];
  write_hex(flow_id(flow), id);
  visitor.text("flow_id", {id, sizeof id});
  visitor.text("community_id", community_id(flow.key));
  visitor.address("src", source.address);
  visitor.address("dst", destination.address);
  visitor.unsigned_number("src_port", source.port);
  visitor.unsigned_number("dst_port", destination.port);
  visitor.unsigned_number("proto", proto_of(flow.key));
  if (vlan_of(flow.key) != 0) visitor.unsigned_number("vlan", vlan_of(flow.key));
  if (inner_vlan_of(flow.key) != 0) visitor.unsigned_number("inner_vlan", inner_vlan_of(flow.key));
  visitor.time("first", utc(flow.first));
  visitor.time("last", utc(flow.last));
  visitor.real("duration_s", (flow.last - flow.first) / 1e9);
  visitor.text("state", kStates[flow.state]);
  visitor.text("reason", kReasons[flow.reason]);
  publish_direction("forward", flow, from, visitor);
  publish_direction("reverse", flow, to, visitor);
  publish_rtt(flow, visitor);
  if (has_mark(flow, ENGINE_FLOW_SPLIT)) visitor.boolean("split", true);
  options_->fields.visit(reinterpret_cast<const std::byte*>(&flow + 1), epoch_ns_, visitor);
}

}  // namespace plugins
