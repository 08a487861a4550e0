#include "xsk/sizes.h"

#include <algorithm>
#include <bit>

namespace xsk {
namespace {

// In front of each packet (XDP_PACKET_HEADROOM in include/uapi/linux/bpf.h).
constexpr std::uint32_t headroom_bytes = 256;
// What an MTU does not count: Ethernet header 14, two VLAN tags 8.
constexpr std::uint32_t link_header_bytes = 22;

constexpr std::uint32_t small_chunk_bytes = 2048;
constexpr std::uint32_t large_chunk_bytes = 4096;  // one page: the kernel takes no larger ones (xdp_umem_reg)

constexpr std::uint32_t default_rx_entries = 2048;
constexpr std::uint32_t min_rx_entries = 512;
constexpr std::uint32_t max_rx_entries = 8192;
constexpr std::uint32_t frame_unit = 1024;  // of small frames: one huge page

// igb tells the NIC its buffer size in whole KiB, rounded down (igb_setup_srrctl in
// drivers/net/ethernet/intel/igb/igb_main.c): of a 2048-byte frame it would use 1024 bytes and split what is longer.
bool counts_in_kib(std::string_view driver) noexcept { return driver == "igb"; }

std::uint32_t largest_mtu(std::uint32_t chunk_bytes, std::string_view driver) noexcept {
  const std::uint32_t room_bytes = chunk_bytes - headroom_bytes;
  return (counts_in_kib(driver) ? room_bytes / 1024 * 1024 : room_bytes) - link_header_bytes;
}

}  // namespace

FrameChoice choose_frames(std::uint32_t mtu_bytes, std::string_view driver) noexcept {
  FrameChoice choice;
  choice.single_frame_mtu = largest_mtu(large_chunk_bytes, driver);
  choice.packet_bytes = mtu_bytes + link_header_bytes;
  choice.chunk_bytes = large_chunk_bytes;
  if (!counts_in_kib(driver) && mtu_bytes <= largest_mtu(small_chunk_bytes, driver))
    choice.chunk_bytes = small_chunk_bytes;
  choice.multi_buffer = mtu_bytes > choice.single_frame_mtu;
  if (choice.multi_buffer) {
    const std::uint32_t room_bytes = choice.single_frame_mtu + link_header_bytes;
    choice.frames_per_packet = (choice.packet_bytes + room_bytes - 1) / room_bytes;
  }
  return choice;
}

RingSizes ring_sizes(std::optional<std::uint32_t> nic_ring_entries, std::uint32_t frames_per_packet) noexcept {
  const std::uint32_t nic = std::clamp(nic_ring_entries.value_or(default_rx_entries), min_rx_entries, max_rx_entries);
  const std::uint32_t rx_entries = std::min(std::bit_ceil(nic * frames_per_packet), max_rx_entries);
  return {rx_entries, (nic + rx_entries + frame_unit - 1) / frame_unit * frame_unit};
}

}  // namespace xsk
