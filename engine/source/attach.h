// What goes with every root program that is put on an interface and taken off again. Main thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "bpf/root_program.h"
#include "xsk/mode.h"

namespace engine {

// An attach makes some NICs reset their link for seconds (igb, ixgbe); veth needs nothing.
inline constexpr std::chrono::milliseconds kCarrierTimeout{5000};

bpf::AttachRequest attach_request(xsk::RequestedMode mode) noexcept;

// After the detach: the kernel frees a program after a grace period, and nothing announces it to us. Looks at what was
// `seen` until two counts in a row, a millisecond apart, are equal, at most a hundred times.
void wait_until_settled(const std::function<std::uint64_t()>& seen);

}  // namespace engine
