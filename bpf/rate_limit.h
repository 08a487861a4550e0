// How many packets a second one source may send, and how that is told to the root program.
#pragma once

#include <cstdint>

#include "bpf/root_abi.h"

namespace bpf {

struct RateLimit {
  static constexpr std::uint64_t max_max_pps = 1'000'000'000;

  std::uint64_t max_pps = 0;  // per source address; 0: no limit
  // How many a source may send at once after a rest. 0: what it may send in a tenth of a second. In force is at least
  // what it may send in two ticks of the kernel's clock (effective_burst): with less it could not get its rate.
  std::uint64_t burst = 0;
};

// The kernel's clock tick: 1 to 10 ms.
std::uint64_t kernel_tick_ns();

// What is really in force, in packets.
std::uint64_t effective_burst(const RateLimit& limit, std::uint64_t tick_ns);

// Writes the rate's part of `live`. False for more than max_max_pps.
bool set_rate(const RateLimit& limit, std::uint64_t tick_ns, root_live& live);

}  // namespace bpf
