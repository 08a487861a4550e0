// Frame and ring sizes for an interface: pure functions of what is known about it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace xsk {

// How packets lie in frames ("chunks"): each in one of 2048 or 4096 bytes, or, where the MTU is larger than fits, in
// several of 4096 (multi-buffer).
struct FrameChoice {
  std::uint32_t chunk_bytes = 0;
  bool multi_buffer = false;
  std::uint32_t frames_per_packet = 1;  // of the longest
  std::uint32_t packet_bytes = 0;       // of the longest, with its link header
  std::uint32_t single_frame_mtu = 0;   // the largest MTU that needs no multi-buffer with this driver
};

FrameChoice choose_frames(std::uint32_t mtu_bytes, std::string_view driver) noexcept;

// Per queue. The fill ring is made twice as large as there are frames (see rx_queue.h).
struct RingSizes {
  std::uint32_t rx_entries;
  std::uint32_t frames;

  std::uint64_t umem_bytes(std::uint32_t chunk_bytes) const noexcept { return std::uint64_t{frames} * chunk_bytes; }
};

// From the length of the NIC's own receive ring, nothing where it is unknown: the RX ring can take a whole NIC ring at
// once, also of packets of so many frames as far as memory stays bounded, and with the RX ring full the NIC still has a
// full ring of frames.
RingSizes ring_sizes(std::optional<std::uint32_t> nic_ring_entries, std::uint32_t frames_per_packet) noexcept;

}  // namespace xsk
