// The filter of a file, and a plugin's own over a batch, by libpcap's interpreter. Hot path.
#pragma once

#include <linux/filter.h>
#include <pcap/pcap.h>

#include <cstdint>
#include <vector>

#include "plugins/abi.h"

namespace engine {

inline bool is_selected(const std::vector<sock_filter>& filter, const std::uint8_t* frame, std::uint32_t len,
                        std::uint32_t caplen) noexcept {
  static_assert(sizeof(bpf_insn) == sizeof(sock_filter), "one layout, two names: libpcap's and the kernel's");
  return bpf_filter(reinterpret_cast<const bpf_insn*>(filter.data()), frame, len, caplen) != 0;
}

// Writes the places of those of packets[0..count) that the classic BPF program takes to `index`; how many. The packets'
// _off counts from `frames`.
inline std::uint32_t select_packets(const std::vector<sock_filter>& filter, const engine_packet* packets,
                                    std::uint32_t count, const std::uint8_t* frames, std::uint16_t* index) noexcept {
  std::uint32_t selected = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const engine_packet& packet = packets[i];
    if (is_selected(filter, frames + packet._off, packet.len, packet.caplen))
      index[selected++] = static_cast<std::uint16_t>(i);
  }
  return selected;
}

}  // namespace engine
