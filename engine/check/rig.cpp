#include "engine/check/rig.h"

#include <algorithm>
#include <cstring>

#include "bpf/filter.h"
#include "engine/clock.h"
#include "engine/packet_filter.h"

namespace engine::check {
namespace {

constexpr std::size_t kOutbox_bytes = 1u << 20;
constexpr std::size_t kMostErrors = 20;
constexpr double kPause_ns = 1e6;  // between the last packet and the first of the next round

std::uint64_t cost_of_the_clock_ns() {
  std::vector<std::uint64_t> samples(1001);
  for (std::uint64_t& sample : samples) {
    const std::uint64_t begin_ns = monotonic_ns();
    sample = monotonic_ns() - begin_ns;
  }
  std::nth_element(samples.begin(), samples.begin() + 500, samples.end());
  return samples[500];
}

}  // namespace

Rig::Rig(const plugins::PluginSpec& spec, const Packets& packets, const plugins::Traffic& traffic)
    : source_(packets),
      packets_(kMostPackets + 1),
      memory_(kOutbox_bytes),
      outbox_{memory_.data(), 0, static_cast<std::uint32_t>(memory_.size()), 0, 0},
      clock_ns_(cost_of_the_clock_ns()),
      begin_ns_(monotonic_ns()),
      state_(spec, binding(traffic)),
      load_ns_(monotonic_ns() - begin_ns_),
      index_(kMostPackets),
      boundary_ns_(static_cast<double>(state_.interval_ns())) {
  if (!state_.filter().empty())
    filter_ = bpf::compile_filter(state_.filter(), bpf::filter_snaplen_bytes, source_.datalink);
  inspector_.warmed_up();
  state_.touch();
}

plugins::Binding Rig::binding(const plugins::Traffic& traffic) {
  plugins::Binding binding;
  binding.packets = packets_.data();
  binding.capacity = kMostPackets;
  binding.frames = source_.frames.data();
  binding.outbox = &outbox_;
  binding.epoch_ns = source_.epoch_ns;
  binding.info = {"check", {0}, -1, -1};
  binding.traffic = traffic;
  binding.observer = &inspector_;
  return binding;
}

void Rig::take_next(engine_packet& packet) {
  packet = source_.packets[next_];
  packet.time += shift_ns_;
  now_ns_ = packet.time;
  if (++next_ < source_.packets.size()) return;
  next_ = 0;
  ++rounds_;
  shift_ns_ = now_ns_ + kPause_ns;
}

Rig::Crossing Rig::offer(std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) take_next(packets_[i]);
  Crossing crossing{
      filter_.empty() ? count : select_packets(filter_, packets_.data(), count, source_.frames.data(), index_.data())};
  outbox_.used = 0;
  const std::uint64_t begin_ns = monotonic_ns();
  if (filter_.empty()) {
    state_.run(count);
  } else if (crossing.packets > 0) {
    state_.run(std::span<const std::uint16_t>(index_.data(), crossing.packets));
  }
  const std::uint64_t took_ns = monotonic_ns() - begin_ns;
  crossing.ns = took_ns - std::min(took_ns, clock_ns_);
  offered_ += crossing.packets;
  read_messages();
  return crossing;
}

std::uint64_t Rig::tick() {
  const auto interval_ns = static_cast<double>(state_.interval_ns());
  packets_[kMostPackets].time = boundary_ns_;
  outbox_.used = 0;
  const std::uint64_t begin_ns = monotonic_ns();
  state_.tick(boundary_ns_);
  const std::uint64_t took_ns = monotonic_ns() - begin_ns;
  read_messages();
  // Nobody publishes the structures' content here; it must not pile up.
  for (plugins::Structure* structure : state_.structures())
    if (plugins::Part* part = structure->swap()) structure->give_back(part);
  boundary_ns_ +=
      interval_ns *
      std::max(1.0, 1 + static_cast<double>(static_cast<std::uint64_t>((now_ns_ - boundary_ns_) / interval_ns)));
  return took_ns;
}

std::uint64_t Rig::stop() {
  packets_[kMostPackets].time = now_ns_;
  outbox_.used = 0;
  const std::uint64_t begin_ns = monotonic_ns();
  state_.stop();
  const std::uint64_t took_ns = monotonic_ns() - begin_ns;
  read_messages();
  return took_ns;
}

void Rig::read_messages() {
  engine_message head;
  for (std::uint32_t at = 0; at < outbox_.used && errors_.size() < kMostErrors; at += head.length) {
    std::memcpy(&head, outbox_.data + at, sizeof head);
    if (head.kind != ENGINE_MESSAGE_ERROR) continue;
    const char* text = reinterpret_cast<const char*>(outbox_.data + at + sizeof head);
    std::string message(text, strnlen(text, head.length - sizeof head));
    if (std::find(errors_.begin(), errors_.end(), message) == errors_.end()) errors_.push_back(std::move(message));
  }
}

}  // namespace engine::check
