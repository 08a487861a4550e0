#include "engine/cli/host_network.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "engine/base/error.h"
#include "engine/cli/netlink.h"
#include "engine/cli/tcp_peers.h"

namespace engine::cli {
namespace {

void dump(Netlink& route, std::uint16_t type, const std::function<void(nlmsghdr*)>& fill,
          const std::function<void(const nlmsghdr*)>& each, std::string_view what, const std::function<void()>& reset) {
  const int error = route.dump(type, fill, each, reset);
  if (error != 0) throw SetupError(ExitCode::machine_cannot, what, std::strerror(error));
}

// Links of these kinds name their peer in IFLA_LINK, not what they lie on.
bool names_a_peer(std::string_view kind) { return kind == "veth" || kind == "netkit" || kind == "vxcan"; }

void read_kind(const nlattr* info, HostLink& link) {
  each_attribute_in(info, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) link.kind = mnl_attr_get_str(attribute);
    // The kind comes first (net/core/rtnetlink.c: rtnl_link_info_fill), and says what the data are.
    if (mnl_attr_get_type(attribute) != IFLA_INFO_DATA || link.kind != "vlan") return;
    each_attribute_in(attribute, [&](const nlattr* data) {
      if (mnl_attr_get_type(data) == IFLA_VLAN_ID) link.vlan_id = mnl_attr_get_u16(data);
    });
  });
}

std::vector<HostLink> read_links(Netlink& route) {
  std::vector<HostLink> links;
  const auto fill = [](nlmsghdr* header) {
    auto* const info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg)));
    info->ifi_family = AF_UNSPEC;
  };
  dump(
      route, RTM_GETLINK, fill,
      [&](const nlmsghdr* header) {
        if (header->nlmsg_type == RTM_NEWLINK) links.push_back(read_link(header));
      },
      "list interfaces", [&] { links.clear(); });
  return links;
}

struct RouteTargets {
  std::vector<unsigned> links;
  unsigned nexthop_id = 0;  // of a nexthop object; the links are not listed if net.ipv4.nexthop_compat_mode is 0
};

void add_hops(const nlattr* multipath, std::vector<unsigned>& links) {
  const auto* hop = static_cast<const rtnexthop*>(mnl_attr_get_payload(multipath));
  int left = mnl_attr_get_payload_len(multipath);
  while (left >= static_cast<int>(sizeof *hop) && hop->rtnh_len >= sizeof *hop && hop->rtnh_len <= left) {
    links.push_back(static_cast<unsigned>(hop->rtnh_ifindex));
    left -= static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
    hop = RTNH_NEXT(hop);
  }
}

RouteTargets read_targets(const nlmsghdr* header) {
  RouteTargets targets;
  each_attribute(header, sizeof(rtmsg), [&](const nlattr* attribute) {
    const auto type = mnl_attr_get_type(attribute);
    if (type == RTA_OIF) targets.links.push_back(mnl_attr_get_u32(attribute));
    if (type == RTA_NH_ID) targets.nexthop_id = mnl_attr_get_u32(attribute);
    if (type == RTA_MULTIPATH) add_hops(attribute, targets.links);
  });
  return targets;
}

// A nexthop object is a link or a group of nexthop objects; groups do not nest deeper in today's kernels, the depth
// bounds it all the same (net/ipv4/nexthop.c: nh_check_attr_group).
void follow_nexthop(Netlink& route, unsigned id, std::vector<unsigned>& links, int depth) {
  std::vector<unsigned> members;
  const auto fill = [&](nlmsghdr* header) {
    auto* const message = static_cast<nhmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nhmsg)));
    message->nh_family = AF_UNSPEC;
    mnl_attr_put_u32(header, NHA_ID, id);
  };
  const auto each = [&](const nlmsghdr* header) {
    each_attribute(header, sizeof(nhmsg), [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) == NHA_OIF) links.push_back(mnl_attr_get_u32(attribute));
      if (mnl_attr_get_type(attribute) != NHA_GROUP) return;
      const auto* const group = static_cast<const nexthop_grp*>(mnl_attr_get_payload(attribute));
      const std::size_t count = mnl_attr_get_payload_len(attribute) / sizeof *group;
      for (std::size_t i = 0; i < count; ++i) members.push_back(group[i].id);
    });
  };
  if (route.ask(RTM_GETNEXTHOP, 0, fill, each) != 0 || depth == 0) return;  // gone in the meantime: no dependence
  for (const unsigned member : members) follow_nexthop(route, member, links, depth - 1);
}

// Default routes of all tables. Two halves (0.0.0.0/1 and 128.0.0.0/1), as VPN clients set them, count as one.
void add_default_routes(Netlink& route, int family, std::vector<HostDependence>& to) {
  std::vector<unsigned> links;
  std::vector<unsigned> nexthops;
  const auto fill = [&](nlmsghdr* header) {
    auto* const message = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(rtmsg)));
    message->rtm_family = static_cast<unsigned char>(family);
  };
  const auto each = [&](const nlmsghdr* header) {
    const auto* const message = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(header));
    if (header->nlmsg_type != RTM_NEWROUTE || message->rtm_dst_len > 1 || message->rtm_type != RTN_UNICAST) return;
    const RouteTargets targets = read_targets(header);
    links.insert(links.end(), targets.links.begin(), targets.links.end());
    if (targets.links.empty() && targets.nexthop_id != 0) nexthops.push_back(targets.nexthop_id);
  };
  dump(route, RTM_GETROUTE, fill, each, "list routes", [&] {
    links.clear();
    nexthops.clear();
  });
  for (const unsigned id : nexthops) follow_nexthop(route, id, links, 2);
  for (const unsigned link : links) {
    to.push_back({link, family == AF_INET ? "carries the IPv4 default route" : "carries the IPv6 default route"});
  }
}

// The link by which the kernel would send to this peer now, by all its rules and tables; 0 if there is no way.
unsigned link_towards(Netlink& route, const TcpPeer& peer) {
  const std::size_t size = peer.family == AF_INET ? 4 : 16;
  unsigned link = 0;
  const auto get = [&](bool with_source) {
    const auto fill = [&](nlmsghdr* header) {
      auto* const message = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(rtmsg)));
      message->rtm_family = static_cast<unsigned char>(peer.family);
      message->rtm_dst_len = static_cast<unsigned char>(size * 8);
      mnl_attr_put(header, RTA_DST, size, peer.remote.data());
      if (peer.bound_link != 0) mnl_attr_put_u32(header, RTA_OIF, peer.bound_link);
      if (!with_source) return;
      message->rtm_src_len = message->rtm_dst_len;
      mnl_attr_put(header, RTA_SRC, size, peer.local.data());
    };
    return route.ask(RTM_GETROUTE, 0, fill, [&](const nlmsghdr* header) {
      for (const unsigned target : read_targets(header).links) link = target;
    });
  };
  // A transparent proxy's socket has a source that is not this machine's, which the kernel refuses to route from.
  if (get(true) != 0 && get(false) != 0) return 0;
  return link;
}

void add_tcp_peers(Netlink& route, std::vector<HostDependence>& to) {
  for (const TcpPeer& peer : established_tcp_peers()) {
    const unsigned link = link_towards(route, peer);
    if (link == 0) continue;
    // One reason for each link is enough, and a server has many peers.
    if (std::any_of(to.begin(), to.end(), [&](const auto& known) { return known.link == link; })) continue;
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(peer.family, peer.remote.data(), text, sizeof text);
    to.push_back({link, std::string("carries an established TCP connection with ") + text});
  }
}

}  // namespace

HostLink read_link(const nlmsghdr* header) {
  const auto* const info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
  HostLink link;
  link.index = static_cast<unsigned>(info->ifi_index);
  link.loopback = (info->ifi_flags & IFF_LOOPBACK) != 0;
  bool elsewhere = false;  // IFLA_LINK counts in another namespace then
  each_attribute(header, sizeof *info, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFLA_IFNAME:
        link.name = mnl_attr_get_str(attribute);
        break;
      case IFLA_MASTER:
        link.master = mnl_attr_get_u32(attribute);
        break;
      case IFLA_LINK:
        link.parent = mnl_attr_get_u32(attribute);
        break;
      case IFLA_LINK_NETNSID:
        elsewhere = true;
        break;
      case IFLA_LINKINFO:
        read_kind(attribute, link);
        break;
      case IFLA_PROP_LIST:
        each_attribute_in(attribute, [&](const nlattr* property) {
          if (mnl_attr_get_type(property) == IFLA_ALT_IFNAME)
            link.alternative_names.emplace_back(mnl_attr_get_str(property));
        });
        break;
    }
  });
  if (elsewhere || names_a_peer(link.kind) || link.parent == link.index) link.parent = 0;
  return link;
}

const HostLink* find_link(const HostNetwork& network, std::string_view name) {
  const auto named = [&](const HostLink& link) {
    return link.name == name || std::ranges::find(link.alternative_names, name) != link.alternative_names.end();
  };
  const auto it = std::ranges::find_if(network.links, named);
  return it == network.links.end() ? nullptr : &*it;
}

const HostLink* find_link(const HostNetwork& network, unsigned index) {
  const auto it = std::ranges::find(network.links, index, &HostLink::index);
  return it == network.links.end() ? nullptr : &*it;
}

HostNetwork read_host_network() {
  Netlink route(NETLINK_ROUTE);
  HostNetwork network;
  network.links = read_links(route);
  add_default_routes(route, AF_INET, network.dependences);
  add_default_routes(route, AF_INET6, network.dependences);
  add_tcp_peers(route, network.dependences);
  return network;
}

}  // namespace engine::cli
