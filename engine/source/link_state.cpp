#include "engine/source/link_state.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <utility>

#include "engine/cli/netlink.h"

namespace engine {
namespace {

void take_programs(const nlattr* xdp, LinkState& link) {
  cli::each_attribute_in(xdp, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFLA_XDP_DRV_PROG_ID:
        link.programs[0] = mnl_attr_get_u32(attribute);
        break;
      case IFLA_XDP_SKB_PROG_ID:
        link.programs[1] = mnl_attr_get_u32(attribute);
        break;
      case IFLA_XDP_HW_PROG_ID:
        link.programs[2] = mnl_attr_get_u32(attribute);
        break;
      default:
        break;
    }
  });
}

}  // namespace

std::optional<LinkReport> parse_link(const nlmsghdr* message) {
  if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) return std::nullopt;
  if (mnl_nlmsg_get_payload_len(message) < sizeof(ifinfomsg)) return std::nullopt;
  const auto* const info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  if (info->ifi_family != AF_UNSPEC || info->ifi_index <= 0) return std::nullopt;
  LinkReport report;
  report.gone = message->nlmsg_type == RTM_DELLINK;
  LinkState& link = report.link;
  link.ifindex = static_cast<unsigned>(info->ifi_index);
  link.up = (info->ifi_flags & IFF_UP) != 0;
  cli::each_attribute(message, sizeof *info, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFLA_IFNAME:
        link.name = mnl_attr_get_str(attribute);
        break;
      case IFLA_MTU:
        link.mtu_bytes = mnl_attr_get_u32(attribute);
        break;
      case IFLA_CARRIER:
        link.carrier = mnl_attr_get_u8(attribute) != 0;
        break;
      case IFLA_XDP:
        take_programs(attribute, link);
        break;
      case IFLA_STATS64:
        link.counters = xsk::device_counters(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
        break;
      case IFLA_NEW_NETNSID:  // net/core/dev.c: __dev_change_net_namespace
        report.moved = report.gone;
        break;
      default:
        break;
    }
  });
  return report;
}

LinkTracker::LinkTracker(const std::vector<xsk::Link>& links) {
  for (const xsk::Link& link : links) {
    Watched& watched = links_.emplace_back();
    watched.name = link.name;
    watched.state = {link.ifindex, link.name, link.is_up, link.has_carrier, link.mtu_bytes, link.rx_queues, {}, {}};
  }
}

std::optional<std::size_t> LinkTracker::find(const LinkState& link) const noexcept {
  for (std::size_t i = 0; i < links_.size(); ++i)
    if (links_[i].state.ifindex == link.ifindex) return i;
  // Another device by the name: the return of one that is gone, or of one whose end was not heard of. Not where ours
  // goes on under another name.
  for (std::size_t i = 0; i < links_.size(); ++i)
    if (links_[i].name == link.name && (links_[i].state.ifindex == 0 || links_[i].state.name == link.name)) return i;
  return std::nullopt;
}

std::optional<std::size_t> LinkTracker::take(const LinkReport& report, std::vector<LinkEvent>& events) {
  const std::optional<std::size_t> link = find(report.link);
  if (!link) return std::nullopt;
  const unsigned ifindex = links_[*link].state.ifindex;
  if (report.gone) {
    if (ifindex == report.link.ifindex) leave(*link, report, events);
    return link;
  }
  if (ifindex != 0 && ifindex != report.link.ifindex) gone(*link, events);
  compare(*link, report.link, events);
  return link;
}

void LinkTracker::gone(std::size_t link, std::vector<LinkEvent>& events) {
  LinkReport report;
  report.gone = true;
  report.link = links_[link].state;
  if (report.link.ifindex != 0) leave(link, report, events);
}

void LinkTracker::leave(std::size_t link, const LinkReport& report, std::vector<LinkEvent>& events) {
  LinkState& state = links_[link].state;
  LinkState before = std::exchange(state, {});
  before.counters = report.link.counters;
  state.name = links_[link].name;
  events.push_back({link, report.moved ? LinkChange::moved : LinkChange::removed, before, state});
}

void LinkTracker::compare(std::size_t link, const LinkState& now, std::vector<LinkEvent>& events) {
  LinkState& state = links_[link].state;
  const LinkState before = state;
  state = now;
  state.rx_queues = before.rx_queues;
  const auto tell = [&](LinkChange change) { events.push_back({link, change, before, state}); };
  if (before.ifindex == 0) {
    tell(LinkChange::returned);
    return;
  }
  if (before.name != now.name) tell(LinkChange::renamed);
  if (before.mtu_bytes != now.mtu_bytes) tell(LinkChange::mtu);
  if (before.programs != now.programs) tell(LinkChange::program);
  if (before.usable() != now.usable()) tell(now.usable() ? LinkChange::up : LinkChange::down);
}

void LinkTracker::queues(std::size_t link, std::uint32_t rx_queues, std::vector<LinkEvent>& events) {
  LinkState& state = links_[link].state;
  if (state.ifindex == 0 || state.rx_queues == rx_queues) return;
  const LinkState before = state;
  state.rx_queues = rx_queues;
  if (before.rx_queues != 0) events.push_back({link, LinkChange::queues, before, state});
}

}  // namespace engine
