// A plugin's own filter over a batch, by libpcap's interpreter. Hot path.
#pragma once

#include <linux/filter.h>
#include <pcap/pcap.h>

#include <cstdint>
#include <vector>

#include "plugins/abi.h"

namespace engine {

// Writes the places of those of packets[0..count) that the classic BPF program takes to `index`; how many. The packets'
// _off counts from `frames`.
inline std::uint32_t select_packets(const std::vector<sock_filter>& filter, const engine_packet* packets,
                                    std::uint32_t count, const std::uint8_t* frames, std::uint16_t* index) noexcept {
  static_assert(sizeof(bpf_insn) == sizeof(sock_filter), "one layout, two names: libpcap's and the kernel's");
  const auto* program = reinterpret_cast<const bpf_insn*>(filter.data());
  std::uint32_t selected = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const engine_packet& packet = packets[i];
    if (bpf_filter(program, frames + packet._off, packet.len, packet.caplen) != 0)
      index[selected++] = static_cast<std::uint16_t>(i);
  }
  return selected;
}

}  // namespace engine
