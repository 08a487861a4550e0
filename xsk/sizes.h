// Frame and ring sizes for an interface: pure functions of what is known about it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace xsk {

// The frame ("chunk") size that holds a packet of this MTU, 2048 or 4096 bytes. Throws engine::SetupError where neither
// does, naming the largest MTU that fits.
std::uint32_t chunk_bytes_for(std::uint32_t mtu_bytes, std::string_view driver, std::string_view interface_name);

// Per queue. The fill ring is made twice as large as there are frames (see rx_queue.h).
struct RingSizes {
  std::uint32_t rx_entries;
  std::uint32_t frames;

  std::uint64_t umem_bytes(std::uint32_t chunk_bytes) const noexcept { return std::uint64_t{frames} * chunk_bytes; }
};

// From the length of the NIC's own receive ring, nothing where it is unknown: the RX ring can take a whole NIC ring at
// once, and with the RX ring full the NIC still has a full ring of frames.
RingSizes ring_sizes(std::optional<std::uint32_t> nic_ring_entries) noexcept;

}  // namespace xsk
