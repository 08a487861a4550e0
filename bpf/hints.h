// Takes what a bound root program has written in front of a received frame. Hot: called by a worker, per packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bpf/root_abi.h"

namespace bpf {

// `frame` is where the packet begins, in a UMEM of which the bytes before it are the frame's headroom. False: this one
// came without. A hint is taken once: its mark is wiped out, because the next packet in this place may come without.
inline bool take_hints(std::byte* frame, root_hints& hints) noexcept {
  constexpr std::uint32_t taken = 0;
  std::memcpy(&hints, frame - sizeof hints, sizeof hints);
  if (hints.magic != ROOT_HINTS_MAGIC) return false;
  std::memcpy(frame - sizeof hints.magic, &taken, sizeof taken);
  return true;
}

}  // namespace bpf
