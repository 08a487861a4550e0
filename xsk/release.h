// Waits for the kernel to let go of a queue whose socket was closed.
#pragma once

#include <chrono>

#include "engine/base/unique_fd.h"
#include "xsk/frame.h"

namespace xsk {

// Closing a socket only schedules that the driver gives up its zero-copy pool (net/xdp/xsk_buff_pool.c: xp_put_pool,
// xp_release_deferred, after a grace period). Nothing announces the end of it; a bind is refused with EBUSY until then,
// so one is tried until it is not. True once the queue is free. `probe` is an AF_XDP socket, which takes CAP_NET_RAW to
// make; it is used up. Set-up code: sleeps.
bool await_release(engine::UniqueFd probe, unsigned ifindex, QueueId queue, std::chrono::milliseconds timeout) noexcept;

}  // namespace xsk
