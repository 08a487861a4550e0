// The memory that an AF_PACKET socket and its reader share: a TPACKET_V3 ring of blocks (packet_mmap.rst in the
// kernel's documentation).
//
// The kernel fills one block after the other with frames and hands each over when it is full or its time is up; the
// reader gives it back. Owns the mapping; made by the main thread, read through a PacketQueue (packet_queue.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace engine {

// How a ring is cut. A frame lies in one block, so a block must hold the longest one: with receive or send offloads
// that is 64 KiB and not the MTU. Many blocks rather than large ones: a block that is handed over because its time is
// up takes as much of the ring as a full one, so blocks times timeout is how long the reader may stay away when little
// arrives.
struct RingShape {
  std::uint32_t block_bytes = 256u << 10;
  std::uint32_t blocks = 0;
  std::uint32_t timeout_ms = 8;  // a block with frames in it is handed over after that

  std::size_t bytes() const noexcept { return std::size_t{block_bytes} * blocks; }
};

// 110,000 of the smallest frames. A larger ring does not stay in the caches on its way from the kernel to the reader,
// which then takes three times as long for each frame.
inline constexpr std::size_t kDefaultRing_bytes = 16u << 20;
inline constexpr std::size_t kMinRing_bytes = 1u << 20;
inline constexpr std::size_t kMaxRing_bytes = 1u << 30;

// The shape of a ring of about `budget_bytes` (rounded down to whole blocks). Throws SetupError(bad_usage) for a budget
// outside the limits above.
RingShape ring_shape(std::size_t budget_bytes);

class PacketRing {
 public:
  PacketRing() noexcept = default;
  // Creates the ring on the socket, which must have TPACKET_V3 set, and maps it: at `at`, which must lie page-aligned
  // in an address range that the caller reserved, or anywhere if it is null. `object` names the socket in errors.
  // Throws SetupError.
  PacketRing(int socket_fd, const RingShape& shape, std::byte* at, std::string_view object);
  PacketRing(PacketRing&& other) noexcept;
  PacketRing& operator=(PacketRing&& other) noexcept;
  ~PacketRing();

  std::span<std::byte> bytes() const noexcept { return {data_, bytes_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  bool in_reserved_range_ = false;
};

}  // namespace engine
