// What the plugins of one worker ask to be blocked, on its way to whoever keeps the kernel's block list.
//
// One per worker, shared by its plugins; the worker's thread alone. A request is a message in the outbox, never a
// system call. Until it takes effect, some milliseconds later, a flood goes on and the plugin asks again for every
// packet: what was asked for a moment ago is not sent again, so that no flood fills the queue of results.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "plugins/native.h"

namespace plugins {

class Blocks {
 public:
  // Bits of `full`.
  static constexpr std::uint32_t kNoAddresses = 1;
  static constexpr std::uint32_t kNoNetworks = 2;
  // A request that would prolong the one before by less than this is the same.
  static constexpr double kSame_ns = 100e6;
  static constexpr double kSameShare = 0.1;  // of its own length

  // `full`: what the list has no room for, written by its keeper; outlives this.
  explicit Blocks(const std::atomic<std::uint32_t>& full) noexcept : full_(full) {}

  // False: there is no room in the list or in the outbox.
  bool ask(engine_binding& from, const engine_addr& first, std::uint32_t bits, double seconds) noexcept;

 private:
  struct Asked {
    engine_addr first;
    std::uint32_t bits = 0;
    std::uint32_t plugin = 0;
    double until_ns = 0;
  };

  const std::atomic<std::uint32_t>& full_;
  std::array<Asked, 64> asked_{};  // by hash: a newer one takes an older one's place
};

}  // namespace plugins
