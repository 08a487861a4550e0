// One plugin on one worker, over the lives of its states: what takes the place of a state that was cut off or ran out
// of memory, when the plugin is left alone for a while, how a reload comes in between two batches.
//
// Worker's thread; offer() is the workshop's. Made and seated on the main thread.
#pragma once

#include <linux/filter.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/workshop.h"
#include "plugins/structure_set.h"

namespace engine {

class PluginSlot {
 public:
  static constexpr std::uint64_t kWindow_ns = 60'000'000'000;  // a minute
  static constexpr std::uint32_t kDeathsToQuarantine = 3;      // within it
  static constexpr std::uint64_t kErrorsToQuarantine = 100;    // within it, and more than one packet in a hundred
  static constexpr std::uint64_t kFirstQuarantine_ns = 60'000'000'000;  // doubled each time
  static constexpr std::uint32_t kLongestQuarantine = 10;               // doublings

  static constexpr std::uint64_t kSlowBatch_ns = 5'000'000;  // worth a warning, once a minute

  // `lossless`: files; it waits for a spare.
  PluginSlot(Workshop& workshop, std::size_t plugin, const plugins::Seat& seat, bool lossless);
  ~PluginSlot();
  PluginSlot(const PluginSlot&) = delete;
  PluginSlot& operator=(const PluginSlot&) = delete;

  // The first state: on_start is called. Throws SetupError.
  void seat(std::unique_ptr<Prepared> prepared);
  void begin(const std::uint8_t* frames, std::uint64_t epoch_ns) noexcept;
  void touch() noexcept { current_->state->touch(); }  // on the worker's thread, before its first batch

  std::uint64_t interval_ns() const noexcept { return interval_ns_; }
  // The plugin's own filter; empty: every packet.
  const std::vector<sock_filter>& filter() const noexcept { return current_->filter; }
  plugins::State& state() noexcept { return *current_->state; }
  plugins::StructureSet& structures() noexcept { return structures_; }

  // Offers packets[0..count), or those of the index, at this time. What no state could see is counted as missed.
  void run(std::uint32_t count, double now_ns) noexcept;
  void run(std::span<const std::uint16_t> index, double now_ns) noexcept;
  void tick(double now_ns) noexcept;
  void stop() noexcept;
  void collect_garbage_step() noexcept;

  // A batch took so long: near its deadline, or the machine is busy.
  void warn_slow(std::uint64_t took_ns, double now_ns) noexcept;

  // From the workshop's thread: to take the state's place between two batches. Ownership goes along.
  void offer(Prepared* fresh) noexcept;
  // Any thread: which version of the plugin the state is of.
  std::uint32_t version() const noexcept { return version_.load(std::memory_order_relaxed); }

  struct Figures {
    std::uint64_t packets = 0;
    std::uint64_t errors = 0;
    std::uint64_t missed = 0;
    std::uint64_t cutoffs = 0;  // states that died, by time or memory
    std::uint64_t reloads = 0;
    std::uint64_t capture_refused = 0;
    std::uint64_t actions_refused = 0;
    std::size_t memory_bytes = 0;
    std::string_view condition;  // "running", "quarantined", or what its state died of
  };
  Figures figures() const noexcept;
  std::uint64_t errors() const noexcept { return past_.errors + current_->state->statistics().errors; }

 private:
  bool ready(double now_ns) noexcept {
    if (in_service_ && incoming_.load(std::memory_order_relaxed) == nullptr) [[likely]]
      return true;
    return look(now_ns);
  }
  bool look(double now_ns) noexcept;
  bool revive(double now_ns) noexcept;
  bool adopt(Prepared* fresh, bool reload) noexcept;
  void bury(double now_ns) noexcept;
  void watch_errors(double now_ns) noexcept;
  void quarantine(double now_ns, std::string_view why) noexcept;
  void tell(std::string_view event, std::string_view detail) noexcept;

  Workshop& workshop_;
  std::size_t plugin_;
  plugins::Seat seat_;
  bool lossless_;
  std::uint64_t interval_ns_ = 0;
  std::unique_ptr<Prepared> current_;
  plugins::StructureSet structures_;
  std::atomic<Prepared*> incoming_{nullptr};
  std::atomic<std::uint32_t> version_{0};
  bool in_service_ = true;
  bool quarantined_ = false;
  double back_at_ns_ = 0;
  std::uint32_t quarantines_ = 0;
  std::array<double, kDeathsToQuarantine> deaths_ns_{};  // the last ones
  std::uint32_t deaths_ = 0;
  double window_ns_ = 0;  // when the current minute of errors began
  std::uint64_t window_packets_ = 0;
  std::uint64_t window_errors_ = 0;
  double warned_ns_ = -1e18;
  Figures past_;  // of the states before this one
  std::array<std::uint16_t, 256> identity_;
};

}  // namespace engine
