// What a plugin costs and what it does wrong while it runs, measured on packets in memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/check/packets.h"
#include "plugins/inspector.h"
#include "plugins/runtime.h"

namespace engine::check {

struct Spread {
  double p50 = 0;
  double p99 = 0;
  std::uint64_t samples = 0;
};

// Of so many callbacks, those that live would have been cut off.
struct Late {
  std::uint64_t count = 0;
  std::uint64_t of = 0;
};

// How many deadlines a batch or a tick may take while it is measured: what one of them takes once, where the machine
// was busy or memory was touched first, is a figure; only what never ends is cut off.
inline constexpr std::uint32_t kPatience = 20;

struct Measurement {
  std::uint64_t packets = 0;  // offered while measuring
  std::uint64_t errors = 0;
  bool dead = false;      // taken out of service
  bool by_batch = false;  // it has on_batch
  Spread packet_ns;       // per packet, over batches of 64
  Spread tick_ns;         // per call; no samples: there is no on_tick
  Late late_batches;      // by their processor time
  Late late_ticks;
  double load_ns = 0;    // compile, warm-up and on_start
  double start_ns = -1;  // on_start alone; negative: there is none
  double stop_ns = -1;   // on_stop
  std::size_t memory_bytes = 0;
  std::size_t peak_memory_bytes = 0;
  double garbage_bytes = 0;  // per packet
  std::vector<std::string> error_texts;
  std::vector<plugins::TraceAbort> aborts;
  std::vector<plugins::Kept> kept;
  std::vector<std::string> kept_errors;  // raised where a kept packet was read
};

// Throws SetupError where the plugin does not load.
Measurement measure(const plugins::PluginSpec& spec, const Packets& packets, const plugins::Traffic& traffic);

// What the plugin keeps of packets beyond their callback, one line each: a kept packet that is read later is other
// bytes then. Found on the first few hundred packets.
std::vector<std::string> kept_packets(const plugins::PluginSpec& spec, const Packets& packets,
                                      const plugins::Traffic& traffic);

}  // namespace engine::check
