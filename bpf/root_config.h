// What a root program is made of: the stages that are asked for, and descriptors. Plain values.
#pragma once

#include <cstdint>
#include <optional>

#include "bpf/block_list.h"
#include "bpf/filter.h"
#include "bpf/rate_limit.h"
#include "bpf/root_abi.h"
#include "engine/base/unique_fd.h"

namespace bpf {

struct RootConfig {
  // Size of the socket map and of the counters: the receive queues that the interface has (or may grow to), not only
  // those that are captured. A frame of a queue beyond goes to the kernel's stack uncounted.
  std::uint32_t queues = 1;
  BlockList block;
  // Room for sources that are blocked while it runs, beside those of `block`. With either the stage is in.
  std::uint32_t more_addresses = 0;
  std::uint32_t more_networks = 0;
  // Room for flows that are bypassed while it runs. 0: no such stage.
  std::uint32_t bypass_flows = 0;
  // Sources whose rate is known at a time; those heard of longest ago give way. 0: no such stage.
  std::uint32_t rate_sources = 0;
  RateLimit rate = {};                     // at first; needs rate_sources
  std::optional<FilterExpression> filter;  // nothing: no filter stage, all frames go to the sockets
  // For frames of more than a page, in several buffers (Linux 5.18). Headers are looked for in the first one.
  bool frags = false;
  // Of root_hint: what to write in front of each frame where it is attached natively and the driver knows it. What was
  // obtained is in RootProgram::hints().
  std::uint32_t hints = 0;
};

// Ready descriptors, for a program that was loaded elsewhere (a privileged helper, a test's own program). They are
// owned by the RootProgram made of them. Those of stages that the program does not have are invalid.
struct RootFds {
  engine::UniqueFd program;
  engine::UniqueFd sockets;    // XSKMAP by queue
  engine::UniqueFd counters;   // PERCPU_ARRAY of root_counters by queue
  engine::UniqueFd slots;      // PROG_ARRAY, see root_slot
  engine::UniqueFd live;       // ARRAY of one root_live; with any of those below
  engine::UniqueFd addresses;  // HASH of root_block_address
  engine::UniqueFd networks;   // LPM_TRIE of root_block_network
  engine::UniqueFd flows;      // HASH of root_flow to root_flow_counters
  engine::UniqueFd rates;      // LRU_HASH of root_block_address to root_bucket
};

}  // namespace bpf
