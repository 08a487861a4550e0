// The lists of all interfaces' root programs as one: what is asked of it is done in each of them.
#pragma once

#include <vector>

#include "bpf/root_program.h"
#include "engine/enforce/blocked_sources.h"
#include "engine/enforce/bypassed_flows.h"
#include "engine/enforce/rate_limits.h"

namespace engine {

// The programs outlive what is made of them. An error is the first one, after all have been asked.
BlockedSources::Kernel kernel_block_lists(std::vector<bpf::RootProgram*> programs);
// Figures are sums.
BypassedFlows::Kernel kernel_bypass_lists(std::vector<bpf::RootProgram*> programs);
RateLimits::Kernel kernel_rate_limits(std::vector<bpf::RootProgram*> programs);

}  // namespace engine
