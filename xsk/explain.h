// From an errno of AF_XDP set-up to a line that says what happened and what helps. Pure; used by Socket::open().
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/error.h"
#include "xsk/frame.h"

namespace xsk {

enum class SetupStep {
  create_socket,
  register_umem,
  create_rings,
  bind,
  bind_multi_buffer,  // refused with multi-buffer and not without it
  join                // the UMEM of another socket
};

struct SetupContext {
  std::string_view interface_name;
  QueueId queue{0};
  std::uint64_t umem_bytes = 0;
  std::uint32_t chunk_bytes = 0;
  std::uint64_t memlock_limit_bytes = 0;  // RLIMIT_MEMLOCK's soft limit as it was at the failure
  bool zero_copy_forced = false;
  bool multi_buffer = false;
  std::uint32_t single_frame_mtu = 0;  // the largest that needs no multi-buffer
};

engine::SetupError explain(SetupStep step, int error, const SetupContext& context);

// Why a bind in zero-copy mode failed, in a few words: for falling back as well as for failing.
std::string_view zero_copy_refusal(int error, bool multi_buffer) noexcept;

}  // namespace xsk
