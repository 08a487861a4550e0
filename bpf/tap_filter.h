// The filter of an AF_PACKET socket, which counts what the kernel shows the socket and what it takes.
//
// A TapFilter owns the counters of one socket (of a fanout group's: each its own). The program, which counts there, is
// the caller's to attach (SO_ATTACH_BPF) and then the socket's. load() is set-up code, also while frames arrive;
// counters() may be called by any thread at any time.
#pragma once

#include <cstdint>

#include "bpf/filter.h"
#include "engine/base/unique_fd.h"

namespace bpf {

// Each is counted where it happens: seen = accepted + rejected is a check. What was accepted then finds room in the
// socket's ring, or is one of its tp_drops.
struct TapCounters {
  std::uint64_t seen = 0;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
};

class TapFilter {
 public:
  // `ignore_outgoing`: what this machine sends is neither judged nor counted. PACKET_IGNORE_OUTGOING has no effect in a
  // fanout group, whose frames come by a hook of its own (net/packet/af_packet.c: fanout_add). Throws
  // SetupError(not_permitted), naming the capability.
  explicit TapFilter(bool ignore_outgoing = false);

  // The program for a socket. Attached in another's place it takes over in one step: a frame is judged, and counted,
  // by one of them. Throws SetupError as load_filter does.
  engine::UniqueFd load(const FilterExpression& filter) const;

  TapCounters counters() const;  // summed over CPUs

 private:
  engine::UniqueFd counters_;  // a PERCPU_ARRAY with one element of TapCounters
  bool ignore_outgoing_;
};

}  // namespace bpf
