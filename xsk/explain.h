// From an errno of AF_XDP set-up to a line that says what happened and what helps. Pure; used by Socket::open().
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/error.h"
#include "xsk/frame.h"

namespace xsk {

enum class SetupStep { create_socket, register_umem, create_rings, bind };

struct SetupContext {
  std::string_view interface_name;
  QueueId queue{0};
  std::uint64_t umem_bytes = 0;
  std::uint64_t memlock_limit_bytes = 0;  // RLIMIT_MEMLOCK's soft limit as it was at the failure
  bool zero_copy_forced = false;
};

engine::SetupError explain(SetupStep step, int error, const SetupContext& context);

// Why a bind in zero-copy mode failed, in a few words: for falling back as well as for failing.
std::string_view zero_copy_refusal(int error) noexcept;

}  // namespace xsk
