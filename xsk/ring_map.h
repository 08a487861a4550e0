// One ring of an AF_XDP socket, created and mapped. Owns the mapping; used during set-up.
#pragma once

#include <linux/if_xdp.h>

#include <cstddef>
#include <cstdint>

#include "xsk/ring.h"

namespace xsk {

enum class RingKind { rx, tx, fill, completion };

class RingMap {
 public:
  RingMap() noexcept = default;
  // Creates the ring on the socket (setsockopt) and maps it. Throws std::system_error with the errno.
  RingMap(int socket_fd, RingKind kind, std::uint32_t entries);
  RingMap(RingMap&& other) noexcept;
  RingMap& operator=(RingMap&& other) noexcept;
  ~RingMap();

  const RingMemory& memory() const noexcept { return memory_; }

 private:
  void* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  RingMemory memory_;
};

}  // namespace xsk
