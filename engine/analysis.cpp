#include "engine/analysis.h"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/clock.h"
#include "engine/packet_filter.h"

namespace engine {
namespace {

constexpr std::uint8_t kEngineItself = 0xff;
constexpr std::uint32_t kSampledBatches = 64;  // one batch in so many is timed
// What a crossing finds at least, live: room for a few records. With less the ring counts as full.
constexpr std::size_t kLiveWindow_bytes = 1024;
// On files: a mebibyte of results a packet. Only pages that are used become resident.
constexpr std::uint32_t kSpill_bytes = kBatchPackets << 20;

constexpr std::uint64_t kSpareLimit_ns = 500'000'000;

constexpr engine_message message_of(std::uint32_t length, std::uint8_t kind, std::uint8_t plugin, std::uint16_t schema,
                                    double time, double place) noexcept {
  return {length, kind, plugin, schema, time, place};
}

}  // namespace

Analysis::Analysis(const AnalysisConfig& config)
    : ring_(config.ring_bytes),
      lossless_(config.lossless),
      packets_to_file_(config.packets_to_file),
      epoch_ns_(config.epoch_ns),
      make_room_(config.make_room) {
  if (lossless_) spill_ = std::make_unique_for_overwrite<std::byte[]>(kSpill_bytes);
}

PluginSlot& Analysis::add_plugin(Workshop& workshop, std::size_t plugin, plugins::Seat seat,
                                 std::unique_ptr<Prepared> first) {
  auto slot = std::make_unique<Slot>();
  seat.packets = packets_.data();
  seat.outbox = &outbox_;
  if (packets_to_file_ != nullptr) seat.marks = &packets_to_file_->marks();
  seat.epoch_ns = epoch_ns_;
  slot->plugin = static_cast<std::uint8_t>(plugin);
  slot->registry = &workshop.registry(plugin);
  slot->service = std::make_unique<PluginSlot>(workshop, plugin, seat, lossless_);
  open_window(*slot);  // on_start may log and emit
  slot->service->seat(first != nullptr ? std::move(first) : workshop.make(plugin));
  close_window(*slot);
  slot->name = slot->service->state().name();
  slot->interval_ns = slot->service->interval_ns();
  slots_.push_back(std::move(slot));
  return *slots_.back()->service;
}

void Analysis::add_summary(std::uint64_t interval_ns) {
  summary_ = std::make_unique<Summary>(lossless_);
  summary_interval_ns_ = interval_ns;
}

std::vector<std::uint64_t> Analysis::intervals_ns() const {
  std::vector<std::uint64_t> lengths;
  for (const auto& slot : slots_)
    if (std::find(lengths.begin(), lengths.end(), slot->interval_ns) == lengths.end())
      lengths.push_back(slot->interval_ns);
  if (summary_) lengths.push_back(summary_interval_ns_);
  return lengths;
}

void Analysis::begin(const std::uint8_t* frames, std::uint64_t epoch_ns) noexcept {
  frames_ = frames;
  epoch_ns_ = epoch_ns;
  for (auto& slot : slots_) {
    slot->service->begin(frames, epoch_ns);
    slot->boundary_ns = (epoch_ns / slot->interval_ns + 1) * slot->interval_ns;
  }
  if (summary_) summary_boundary_ns_ = (epoch_ns / summary_interval_ns_ + 1) * summary_interval_ns_;
  find_next_boundary();
  if (packets_to_file_ != nullptr) packets_to_file_->begin(frames, epoch_ns);
  ring_.publish();
}

void Analysis::touch() noexcept {
  for (auto& slot : slots_) slot->service->touch();
}

void Analysis::run(std::uint32_t count) noexcept {
  if (count == 0) return;
  ++batches_;
  if (packets_to_file_ != nullptr) packets_to_file_->marks().begin(count);
  for (auto& slot : slots_) run_plugin(*slot, count);
  if (summary_) summary_->add(packets_.data(), count);
  if (packets_to_file_ != nullptr) packets_to_file_->offer(packets_.data(), count);
  ring_.publish();
}

void Analysis::run_plugin(Slot& slot, std::uint32_t count) noexcept {
  const bool sampled = batches_ % kSampledBatches == 0;
  const std::uint64_t begin_ns = sampled ? monotonic_ns() : 0;
  std::uint32_t offered = count;
  open_window(slot);
  if (slot.service->filter().empty()) {
    slot.service->run(count, packets_[0].time);
  } else {
    offered = select_packets(slot.service->filter(), packets_.data(), count, frames_, index_.data());
    if (offered > 0) slot.service->run(std::span<const std::uint16_t>(index_.data(), offered), packets_[0].time);
  }
  close_window(slot);
  slot.service->collect_garbage_step();
  if (sampled) {
    const std::uint64_t took_ns = monotonic_ns() - begin_ns;
    slot.figures.sampled_ns += took_ns;
    slot.figures.sampled_packets += offered;
    if (took_ns > PluginSlot::kSlowBatch_ns) [[unlikely]] {
      open_window(slot);
      slot.service->warn_slow(took_ns, packets_[0].time);
      close_window(slot);
    }
  }
  slot.figures.packets += offered;
  slot.figures.filtered += count - offered;
}

// Live, the window is a part of the ring itself: what Lua appends there is sent without another copy, and what does not
// fit is dropped. On files it is memory of its own, larger than any batch's results, so that nothing depends on how far
// the collector has come.
void Analysis::open_window(Slot& slot) noexcept {
  outbox_.used = 0;
  if (lossless_) {
    outbox_.data = reinterpret_cast<std::uint8_t*>(spill_.get());
    outbox_.limit = kSpill_bytes;
    return;
  }
  const std::span<std::byte> window = ring_.window(kLiveWindow_bytes);
  outbox_.data = reinterpret_cast<std::uint8_t*>(window.data());
  outbox_.limit = static_cast<std::uint32_t>(std::min({window.size(), share_left(slot), std::size_t{1} << 30}));
}

void Analysis::close_window(Slot& slot) noexcept {
  if (lossless_) {
    send_spilled();
  } else {
    ring_.advance(outbox_.used);
    slot.sent_bytes += outbox_.used;
  }
}

// No plugin may fill the ring at the expense of the others: a round ends when the collector has read all that was there
// at its beginning, so at most two rounds lie in the ring, and in each a plugin has half of its share.
std::size_t Analysis::share_left(Slot& slot) noexcept {
  if (slots_.size() < 2) return ring_.capacity();
  const std::size_t share = ring_.capacity() / (2 * slots_.size()) / 8 * 8;
  if (slot.sent_bytes >= share && ring_.consumed() >= round_end_) {
    round_end_ = ring_.written();
    for (auto& each : slots_) each->sent_bytes = 0;
  }
  return share - std::min(share, slot.sent_bytes);
}

void Analysis::send_spilled() noexcept {
  for (std::uint32_t at = 0; at < outbox_.used;) {
    engine_message head;
    std::memcpy(&head, spill_.get() + at, sizeof head);
    const std::span<const std::byte> message(spill_.get() + at, head.length);
    at += head.length;
    bool sent = false;
    // A message may be at most half the ring (spsc.h); before the run begins there is nobody to make room.
    while (message.size() <= ring_.capacity() / 2 && !(sent = ring_.push(message)) && wait_for_room()) {
    }
    if (sent || head.kind > ENGINE_MESSAGE_JSON) continue;
    --outbox_.emitted;
    ++outbox_.dropped;
  }
}

bool Analysis::wait_for_room() noexcept {
  ring_.publish();
  return make_room_();
}

std::uint64_t Analysis::plugin_errors() const noexcept {
  std::uint64_t errors = 0;
  for (const auto& slot : slots_) errors += slot->service->errors();
  return errors;
}

void Analysis::find_next_boundary() noexcept {
  next_boundary_ns_ = summary_ ? summary_boundary_ns_ : std::numeric_limits<std::uint64_t>::max();
  for (const auto& slot : slots_) next_boundary_ns_ = std::min(next_boundary_ns_, slot->boundary_ns);
}

void Analysis::end_intervals(std::uint64_t now_ns) noexcept {
  // After a stall of several intervals only the first of them has content: the batches' own times decide.
  const auto end_if_over = [&](std::uint64_t interval_ns, std::uint64_t& boundary_ns, Slot* slot) {
    if (now_ns < boundary_ns) return;
    end_one(slot, boundary_ns / interval_ns - 1, boundary_ns, 0, false);
    boundary_ns = (now_ns / interval_ns + 1) * interval_ns;
  };
  for (auto& slot : slots_) end_if_over(slot->interval_ns, slot->boundary_ns, slot.get());
  if (summary_) end_if_over(summary_interval_ns_, summary_boundary_ns_, nullptr);
  find_next_boundary();
}

void Analysis::end_interval(std::uint64_t interval_ns, std::uint64_t index, std::uint64_t at_ns, double place,
                            bool last) noexcept {
  for (auto& slot : slots_)
    if (slot->interval_ns == interval_ns) end_one(slot.get(), index, at_ns, place, last);
  if (summary_ && summary_interval_ns_ == interval_ns) end_one(nullptr, index, at_ns, place, last);
}

// Nothing follows the last interval: what the collector still holds of the one before must be back, or the last one's
// content could not be handed over.
void Analysis::wait_for_spares() noexcept {
  const std::uint64_t give_up_ns = monotonic_ns() + kSpareLimit_ns;
  for (auto& slot : slots_)
    for (const auto& structure : slot->service->structures().all())
      while (!structure->is_whole() && monotonic_ns() < give_up_ns) poll(nullptr, 0, 1);
}

void Analysis::end_open_intervals(std::uint64_t now_ns) noexcept {
  end_intervals(now_ns);
  wait_for_spares();
  for (auto& slot : slots_) end_one(slot.get(), slot->boundary_ns / slot->interval_ns - 1, now_ns, 0, true);
  if (summary_) end_one(nullptr, summary_boundary_ns_ / summary_interval_ns_ - 1, now_ns, 0, true);
}

// Also those whose state is out of service.
void Analysis::finish_tables(const Slot& slot, double time) noexcept {
  for (const auto& structure : slot.service->structures().all())
    if (structure->table() != nullptr) structure->table()->finish(time);
}

// `slot` is null for the engine's own summary.
void Analysis::end_one(Slot* slot, std::uint64_t index, std::uint64_t at_ns, double place, bool last) noexcept {
  const double time = since_epoch(at_ns);
  const std::uint8_t plugin = slot != nullptr ? slot->plugin : kEngineItself;
  if (slot != nullptr) {
    packets_[kMaxBatchPackets].time = time;
    packets_[kMaxBatchPackets]._place = place;
    open_window(*slot);
    if (last) finish_tables(*slot, time);
    slot->service->tick(time);
    close_window(*slot);
    for (const auto& structure : slot->service->structures().all())
      if (!structure->name().empty()) hand_over(*structure, plugin, time, place);
  } else {
    hand_over(summary_->structure(), plugin, time, place);
  }
  send(ENGINE_MESSAGE_INTERVAL, plugin, 0, time, place, index);
  ring_.publish();
}

// Live, a part that finds no spare or no room stays and is published with the next interval; on files it is waited for.
void Analysis::hand_over(plugins::Structure& structure, std::uint8_t plugin, double time, double place) noexcept {
  plugins::Part* filled = structure.swap();
  while (filled == nullptr && lossless_ && wait_for_room()) filled = structure.swap();
  if (filled == nullptr) return;
  const engine_part message{reinterpret_cast<std::uintptr_t>(filled), reinterpret_cast<std::uintptr_t>(&structure)};
  if (!send(ENGINE_MESSAGE_PART, plugin, structure.number(), time, place, message)) structure.unswap(filled);
}

void Analysis::progress(double place) noexcept {
  if (packets_to_file_ != nullptr) packets_to_file_->progress(place);
  if (send(ENGINE_MESSAGE_PROGRESS, kEngineItself, 0, 0, place, std::uint64_t{0})) ring_.publish();
}

void Analysis::stop(std::uint64_t now_ns, double place) noexcept {
  packets_[kMaxBatchPackets].time = since_epoch(now_ns);
  packets_[kMaxBatchPackets]._place = place;
  for (auto& slot : slots_) {
    open_window(*slot);
    slot->service->stop();
    close_window(*slot);
  }
  if (packets_to_file_ != nullptr) packets_to_file_->finish();
  ring_.publish();
}

template <typename Value>
bool Analysis::send(std::uint8_t kind, std::uint8_t plugin, std::uint16_t schema, double time, double place,
                    const Value& value) noexcept {
  struct {
    engine_message head;
    Value value;
  } message{message_of(sizeof(engine_message) + sizeof value, kind, plugin, schema, time, place), value};
  const auto bytes = std::as_bytes(std::span(&message, 1));
  while (!ring_.push(bytes)) {
    if (!lossless_ || !wait_for_room()) return false;
  }
  return true;
}

double Analysis::since_epoch(std::uint64_t at_ns) const noexcept {
  return static_cast<double>(static_cast<std::int64_t>(at_ns - epoch_ns_));
}

}  // namespace engine
