// What a worker does with a decoded batch: every plugin in turn, then one publish; and at an interval's end the
// hand-over of the structures. The same for live traffic and files.
//
// Owned by one worker, made on the main thread, used by the worker's thread alone from then on. The collector's thread
// touches only the ring's other end and the structures' return slots.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/plugin_slot.h"
#include "engine/results/summary.h"
#include "engine/spsc.h"
#include "engine/write/packet_lane.h"
#include "plugins/abi.h"
#include "plugins/runtime.h"

namespace engine {

inline constexpr std::uint32_t kBatchPackets = 64;
inline constexpr std::uint32_t kMaxBatchPackets = 256;

// Figures of one plugin on one worker, read after the worker has ended.
struct PluginFigures {
  std::uint64_t packets = 0;  // offered
  std::uint64_t filtered = 0;
  std::uint64_t sampled_packets = 0;
  std::uint64_t sampled_ns = 0;
};

struct AnalysisConfig {
  std::size_t ring_bytes = 512u << 10;
  bool lossless = false;            // files: wait for the collector instead of losing results
  std::function<bool()> make_room;  // lossless only: asks the collector to empty the ring and waits a moment
  std::uint64_t epoch_ns = 0;
  PacketLane* packets_to_file = nullptr;  // --write; nullptr: none
};

class Analysis {
 public:
  explicit Analysis(const AnalysisConfig& config);
  Analysis(const Analysis&) = delete;
  Analysis& operator=(const Analysis&) = delete;

  // Set-up, on the main thread.
  // `first`: the plugin's first state here, or nothing: then one is made.
  PluginSlot& add_plugin(Workshop& workshop, std::size_t plugin, plugins::Seat seat, std::unique_ptr<Prepared> first);
  void add_summary(std::uint64_t interval_ns);
  // Where the frames lie and when time begins: known last. No packet before that.
  void begin(const std::uint8_t* frames, std::uint64_t epoch_ns) noexcept;
  // On the worker's thread, before its first batch: memory that packets would else touch first.
  void touch() noexcept;
  std::uint64_t epoch_ns() const noexcept { return epoch_ns_; }

  engine_packet* packets() noexcept { return packets_.data(); }
  // Files, where packets are written: their time stamps as the source has them, which may go back. Else null.
  std::uint64_t* times_ns() noexcept { return packets_to_file_ != nullptr ? packets_to_file_->times_ns() : nullptr; }
  SpscRing& ring() noexcept { return ring_; }

  // The hot path: offers packets()[0..count) to every plugin and publishes what they said.
  void run(std::uint32_t count) noexcept;

  // Live: ends the intervals that lie before `now_ns` (UTC). Cheap when there is nothing to do.
  void advance_time(std::uint64_t now_ns) noexcept {
    if (now_ns >= next_boundary_ns_) end_intervals(now_ns);
  }
  // Live, at the end: closes what is open. Files: the reader's marker says which interval ended at which place.
  void end_open_intervals(std::uint64_t now_ns) noexcept;
  // `last`: the run ends with it, and with it what lives in the plugins' tables.
  void end_interval(std::uint64_t interval_ns, std::uint64_t index, std::uint64_t at_ns, double place,
                    bool last = false) noexcept;
  void progress(double place) noexcept;
  void stop(std::uint64_t now_ns, double place) noexcept;

  std::uint64_t results() const noexcept { return outbox_.emitted; }
  std::uint64_t results_dropped() const noexcept { return outbox_.dropped; }
  std::uint64_t plugin_errors() const noexcept;

  struct Slot {
    std::unique_ptr<PluginSlot> service;
    std::string name;
    const plugins::Registry* registry = nullptr;
    std::uint8_t plugin = 0;
    std::uint64_t interval_ns = 0;
    std::uint64_t boundary_ns = 0;  // live: when the open interval ends
    std::size_t sent_bytes = 0;     // live: since the round of shares began
    PluginFigures figures;
  };
  const std::vector<std::unique_ptr<Slot>>& slots() const noexcept { return slots_; }
  std::vector<std::uint64_t> intervals_ns() const;  // every length that is in use, once
  Summary* summary() noexcept { return summary_.get(); }

 private:
  void run_plugin(Slot& slot, std::uint32_t count) noexcept;
  void open_window(Slot& slot) noexcept;
  void close_window(Slot& slot) noexcept;
  std::size_t share_left(Slot& slot) noexcept;
  void send_spilled() noexcept;
  bool wait_for_room() noexcept;
  void end_intervals(std::uint64_t now_ns) noexcept;
  void wait_for_spares() noexcept;
  void finish_tables(const Slot& slot, double time) noexcept;
  void find_next_boundary() noexcept;
  void end_one(Slot* slot, std::uint64_t index, std::uint64_t at_ns, double place, bool last) noexcept;
  void hand_over(plugins::Structure& structure, std::uint8_t plugin, double time, double place) noexcept;
  template <typename Value>
  bool send(std::uint8_t kind, std::uint8_t plugin, std::uint16_t schema, double time, double place,
            const Value& value) noexcept;
  double since_epoch(std::uint64_t at_ns) const noexcept;

  SpscRing ring_;
  bool lossless_;
  PacketLane* packets_to_file_;
  std::uint64_t epoch_ns_;
  std::function<bool()> make_room_;
  std::uint64_t next_boundary_ns_ = 0;
  engine_outbox outbox_{};
  std::unique_ptr<std::byte[]> spill_;  // lossless only: a crossing's messages, before they go into the ring
  std::size_t round_end_ = 0;           // live: the round of shares ends when the collector has read up to here
  const std::uint8_t* frames_ = nullptr;
  std::uint64_t batches_ = 0;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::unique_ptr<Summary> summary_;
  std::uint64_t summary_interval_ns_ = 0;
  std::uint64_t summary_boundary_ns_ = 0;
  std::array<std::uint16_t, kMaxBatchPackets> index_;
  // One more than a batch: the last is the pseudo packet that gives ticks and stops their time and place.
  alignas(64) std::array<engine_packet, kMaxBatchPackets + 1> packets_{};
};

}  // namespace engine
