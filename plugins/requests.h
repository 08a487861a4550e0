// What the plugins of one worker ask of the kernel, on its way to whoever keeps the kernel's lists: sources to block,
// flows to bypass, a limit on what a source may send.
//
// One per worker, shared by its plugins; the worker's thread alone. A request is a message in the outbox, never a
// system call. Until it takes effect, some milliseconds later, a flood goes on and the plugin asks again for every
// packet: what was asked for a moment ago is not sent again, so that no flood fills the queue of results.
#pragma once

#include <netinet/in.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "plugins/native.h"

namespace plugins {

// Flows of these are told apart by their ports, so packets without any belong to none. As bpf/root_abi.h has it.
constexpr bool has_ports(std::uint8_t proto) noexcept {
  return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE || proto == IPPROTO_SCTP;
}

class Requests {
 public:
  // Bits of `full`.
  static constexpr std::uint32_t kNoAddresses = 1;
  static constexpr std::uint32_t kNoNetworks = 2;
  static constexpr std::uint32_t kNoFlows = 4;
  // A request that would prolong the one before by less than this is the same.
  static constexpr double kSame_ns = 100e6;
  static constexpr double kSameShare = 0.1;  // of its own length

  // `full`: what the lists have no room for, written by their keeper; outlives this.
  explicit Requests(const std::atomic<std::uint32_t>& full) noexcept : full_(full) {}

  // False: there is no room in the list or in the outbox.
  bool block(engine_binding& from, const engine_addr& first, std::uint32_t bits, double seconds) noexcept;
  bool bypass(engine_binding& from, const engine_packet& packet, double seconds) noexcept;
  bool limit_rate(engine_binding& from, std::uint32_t max_pps, double seconds) noexcept;

 private:
  // `what` is compared as bytes, and has no padding.
  template <class What>
  struct Asked {
    What what{};
    std::uint32_t plugin = UINT32_MAX;
    double until_ns = 0;
  };
  // By hash: a newer one takes an older one's place.
  template <class What>
  using Recent = std::array<Asked<What>, 64>;

  template <class What>
  bool ask(engine_binding& from, Recent<What>& recent, std::uint64_t hash, const What& what, double seconds) noexcept;
  bool is_full(std::uint32_t list) const noexcept;

  const std::atomic<std::uint32_t>& full_;
  Recent<engine_block> blocks_;
  Recent<engine_bypass> bypasses_;
  Recent<engine_rate_limit> limits_;
};

}  // namespace plugins
