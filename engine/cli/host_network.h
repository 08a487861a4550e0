// Which interfaces this machine is reached by: a snapshot of links, default routes and TCP connections.
//
// Read once from the kernel (rtnetlink, sock_diag) on the main thread before capture starts; plain values, so that the
// decision over them (engine/cli/protect.h) is tested with interfaces that a test machine cannot make.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct nlmsghdr;

namespace engine::cli {

struct HostLink {
  unsigned index = 0;
  std::string name;
  unsigned master = 0;  // bond, bridge or team that this is a port of; 0: none
  unsigned parent = 0;  // VLAN or macvlan: the link it lies on; 0: none
  bool loopback = false;
  std::string kind = {};      // "bond", "vlan", "veth"…; empty: a device of its own driver
  std::uint16_t vlan_id = 0;  // of a VLAN device
  std::vector<std::string> alternative_names = {};
};

// The machine depends on `link` for a reason of its own, not through another link.
struct HostDependence {
  unsigned link = 0;
  std::string why;  // "carries the IPv4 default route"
};

struct HostNetwork {
  std::vector<HostLink> links;
  std::vector<HostDependence> dependences;
};

// By name, also by an alternative one; null: there is none.
const HostLink* find_link(const HostNetwork& network, std::string_view name);
const HostLink* find_link(const HostNetwork& network, unsigned index);

// What a message of type RTM_NEWLINK says.
HostLink read_link(const nlmsghdr* header);

// Of the calling thread's network namespace. Throws SetupError if the kernel does not tell: then nothing can be
// promised.
HostNetwork read_host_network();

}  // namespace engine::cli
