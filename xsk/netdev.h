// What the kernel knows of a device's XDP: the `netdev` family of generic netlink (Linux 6.3).
//
// Stateless; called by the main thread during set-up. Needs no capability.
#pragma once

#include <cstdint>
#include <optional>

struct nlmsghdr;

namespace xsk {

// Each is absent where the kernel says nothing of it: an older kernel, another network namespace, no such device. Bits
// and numbers are the kernel's (include/uapi/linux/netdev.h, which Debian 12's headers lack).
struct NetdevFeatures {
  static constexpr std::uint64_t basic = 1;      // native XDP at all
  static constexpr std::uint64_t redirect = 2;   // XDP_REDIRECT: without it no AF_XDP
  static constexpr std::uint64_t zerocopy = 8;   // AF_XDP in zero-copy
  static constexpr std::uint64_t rx_frags = 32;  // frames in several buffers

  static constexpr std::uint64_t rx_timestamp = 1;
  static constexpr std::uint64_t rx_hash = 2;
  static constexpr std::uint64_t rx_vlan_tag = 4;

  std::optional<std::uint64_t> xdp;          // basic ... rx_frags; some drivers have more while a program is attached
  std::optional<std::uint32_t> zc_max_segs;  // buffers of a frame in zero-copy (6.6); 1: frames fit into one
  std::optional<std::uint64_t> rx_metadata;  // rx_timestamp ...: what a bound program may ask for (6.8)

  bool can(std::uint64_t feature) const noexcept { return !xdp || (*xdp & feature) != 0; }  // or is not known to not
};

NetdevFeatures read_netdev_features(unsigned ifindex);

// Out of the kernel's answer.
NetdevFeatures parse_netdev_features(const nlmsghdr* answer);

}  // namespace xsk
