// The filter of an AF_PACKET socket, which counts what the kernel shows the socket and what it takes.
//
// A TapFilter owns the counters of one socket (of a fanout group's: each its own); the kernel's socket keeps the
// program. apply() is set-up code, also while frames arrive; counters() may be called by any thread at any time.
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
  // Throws SetupError(not_permitted), naming the capability.
  TapFilter();

  // Puts the filter on the socket, in place of the one before in one step: a frame is judged, and counted, by one of
  // them. Attach before the socket is bound, else what comes before is not counted. Throws SetupError as load_filter
  // does; the socket's filter then stays.
  void apply(int socket_fd, const FilterExpression& filter);

  TapCounters counters() const;  // summed over CPUs

 private:
  engine::UniqueFd counters_;
};

// The program alone; `counters_fd`: a PERCPU_ARRAY with one element of TapCounters.
engine::UniqueFd load_tap_filter(const FilterExpression& filter, int counters_fd);

}  // namespace bpf
