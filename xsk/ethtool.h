// What a driver tells through the SIOCETHTOOL ioctl. Each question is optional for drivers, so each answer is too.
//
// Stateless; called by the main thread. GET requests need no capability.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace xsk::ethtool {

struct Channels {
  std::uint32_t rx = 0;  // receive queues, of either kind
  std::uint32_t max_rx = 0;
  bool combined = false;  // set by `combined N` rather than by `rx N`
};

struct Statistic {
  std::string name;
  std::uint64_t value = 0;
};

std::optional<std::string> driver(std::string_view interface_name);
std::optional<Channels> channels(std::string_view interface_name);
std::optional<std::uint32_t> rx_ring_entries(std::string_view interface_name);
// rx-vlan-offload: VLAN tags are taken out of the frames before a program sees them.
bool takes_vlan_tags_out(std::string_view interface_name);

// `ethtool -S`, in the driver's order and names; empty if it has none.
std::vector<Statistic> statistics(std::string_view interface_name);

}  // namespace xsk::ethtool
