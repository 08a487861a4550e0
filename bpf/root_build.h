// One load of the root program: the stages that a configuration asks for, over new maps or those of an earlier load.
//
// Set-up code. Knows the generated skeleton, and is the only one to.
#pragma once

#include "bpf/root_config.h"
#include "engine/base/unique_fd.h"

namespace bpf {

// Maps to use instead of new ones, where not -1. Not owned.
struct RootReuse {
  int sockets = -1;
  int counters = -1;
  int slots = -1;
  int live = -1;
  int addresses = -1;
  int networks = -1;
  int flows = -1;
  int rates = -1;
};

struct RootBuild {
  RootFds fds;  // the program, and the maps that are new
  // For their slots in the program array; with a filter stage, and not for a bound program, which takes those that are
  // there.
  engine::UniqueFd deliver;
  engine::UniqueFd pass;
};

// A program bound to a device may ask for hints, and runs on it only. 0: bound to none.
struct RootBinding {
  unsigned ifindex = 0;
  std::uint32_t hints = 0;
};

// Maps are empty, the slots too. Throws SetupError.
RootBuild build_root(const RootConfig& config, const RootReuse& reuse = {}, RootBinding binding = {});

// Those of `wanted` (root_hint) that this kernel has functions for.
std::uint32_t hints_of_kernel(std::uint32_t wanted);

}  // namespace bpf
