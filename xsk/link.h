// Facts about a network interface, from rtnetlink: who it is, what it can do, whether it is up, what it counted.
//
// Stateless; called by the main thread during set-up and for reports. Nothing is read from sysfs, which shows the
// namespace it was mounted in and not the caller's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace xsk {

struct Link {
  std::string name;  // the real one, also if the interface was named by an alternative name
  unsigned ifindex = 0;
  std::uint32_t mtu_bytes = 0;
  std::string driver;  // empty where the driver does not say
  std::uint32_t rx_queues = 1;
  std::optional<std::uint32_t> max_rx_queues;     // what `ethtool -L` could set
  std::optional<std::uint32_t> nic_ring_entries;  // length of the NIC's receive ring per queue
  bool combined_channels = false;                 // queues come as RX/TX pairs (`ethtool -L ... combined N`)
  bool is_up = false;                             // administratively
  bool has_carrier = false;
};

// By name or alternative name. Throws engine::SetupError.
Link read_link(std::string_view name);

// Throws engine::SetupError unless the interface has as many receive queues; says how to get them.
void require_queues(const Link& link, std::uint32_t queues);

// Waits until the interface is up and has carrier; false if it had not by then, or is gone.
bool wait_for_carrier(unsigned ifindex, std::chrono::milliseconds timeout);

// rtnl_link_stats64, as far as it serves as a cross-check.
struct DeviceCounters {
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_dropped = 0;
  std::uint64_t rx_missed = 0;
  std::uint64_t rx_errors = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_dropped = 0;

  // On veth rx_dropped has the peer's unsuccessful transmissions in it: a hint, never an addend.
  std::uint64_t nic_seen() const noexcept { return rx_packets; }
  std::uint64_t nic_dropped() const noexcept { return rx_dropped + rx_missed; }
};

// From the payload of IFLA_STATS64.
DeviceCounters device_counters(const void* payload, std::size_t bytes) noexcept;

// Nothing if the interface is gone.
std::optional<DeviceCounters> read_device_counters(unsigned ifindex);

}  // namespace xsk
