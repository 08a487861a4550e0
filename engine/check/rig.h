// A plugin's state with nothing around it: packets go in, each crossing can be timed, results are thrown away.
// One thread.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/check/packets.h"
#include "plugins/inspector.h"
#include "plugins/runtime.h"

namespace engine::check {

class Rig {
 public:
  static constexpr std::uint32_t kMostPackets = 256;

  // Loads the plugin. Throws SetupError.
  Rig(const plugins::PluginSpec& spec, const Packets& packets, const plugins::Traffic& traffic);

  // What one crossing took.
  struct Crossing {
    std::uint32_t packets = 0;  // offered: those that match the plugin's filter
    std::uint64_t ns = 0;
  };
  // Offers the next `count` packets, from the first again after the last. Time goes on.
  Crossing offer(std::uint32_t count);
  // Whether an interval ended before the last packet offered; then tick() is due.
  bool interval_ended() const noexcept { return now_ns_ >= boundary_ns_; }
  std::uint64_t tick();  // ns
  std::uint64_t stop();  // ns
  void collect_garbage_step() { state_.collect_garbage_step(); }
  bool dead() const noexcept { return state_.statistics().dead; }

  plugins::Inspector& inspector() noexcept { return inspector_; }
  plugins::Statistics statistics() const noexcept { return state_.statistics(); }
  const std::vector<std::string>& errors() const noexcept { return errors_; }  // the first ones' texts
  std::uint64_t load_ns() const noexcept { return load_ns_; }
  std::uint64_t offered() const noexcept { return offered_; }
  bool passed_all() const noexcept { return rounds_ > 0; }  // every packet was offered at least once

 private:
  plugins::Binding binding(const plugins::Traffic& traffic);
  void take_next(engine_packet& packet);
  void read_messages();

  const Packets& source_;
  std::vector<engine_packet> packets_;
  std::vector<std::uint8_t> memory_;
  engine_outbox outbox_;
  plugins::Inspector inspector_;
  std::uint64_t clock_ns_;  // what reading the clock adds to each crossing
  std::uint64_t begin_ns_;
  plugins::State state_;
  std::uint64_t load_ns_;
  std::vector<sock_filter> filter_;
  std::vector<std::uint16_t> index_;
  std::vector<std::string> errors_;
  std::size_t next_ = 0;
  std::uint64_t rounds_ = 0;
  std::uint64_t offered_ = 0;
  double shift_ns_ = 0;  // added to the packets' times: grows with each round
  double now_ns_ = 0;
  double boundary_ns_ = 0;
};

}  // namespace engine::check
