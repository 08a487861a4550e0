#include "xsk/link.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

#include "engine/base/error.h"
#include "xsk/ethtool.h"

namespace xsk {
namespace {

using engine::ExitCode;
using engine::SetupError;

struct CloseSocket {
  void operator()(mnl_socket* socket) const noexcept { mnl_socket_close(socket); }
};
using Netlink = std::unique_ptr<mnl_socket, CloseSocket>;

// What one RTM_NEWLINK message says.
struct LinkMessage {
  unsigned ifindex = 0;
  unsigned flags = 0;
  std::string name;
  std::uint32_t mtu_bytes = 0;
  std::uint32_t allocated_rx_queues = 1;
  bool has_carrier = false;
  DeviceCounters counters;
};

Netlink open_netlink(unsigned groups) {
  Netlink netlink(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC));
  if (!netlink || mnl_socket_bind(netlink.get(), groups, MNL_SOCKET_AUTOPID) != 0)
    throw SetupError(ExitCode::machine_cannot, "open rtnetlink", std::generic_category().message(errno));
  return netlink;
}

int take_attribute(const nlattr* attribute, void* into) {
  auto& link = *static_cast<LinkMessage*>(into);
  switch (mnl_attr_get_type(attribute)) {
    case IFLA_IFNAME:
      link.name = mnl_attr_get_str(attribute);
      break;
    case IFLA_MTU:
      link.mtu_bytes = mnl_attr_get_u32(attribute);
      break;
    case IFLA_NUM_RX_QUEUES:
      link.allocated_rx_queues = mnl_attr_get_u32(attribute);
      break;
    case IFLA_CARRIER:
      link.has_carrier = mnl_attr_get_u8(attribute) != 0;
      break;
    case IFLA_STATS64:
      link.counters = device_counters(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
      break;
    default:
      break;
  }
  return MNL_CB_OK;
}

LinkMessage parse(const nlmsghdr* message) {
  const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  LinkMessage link;
  link.ifindex = static_cast<unsigned>(info->ifi_index);
  link.flags = info->ifi_flags;
  mnl_attr_parse(message, sizeof *info, take_attribute, &link);
  return link;
}

// Asks for one interface, by number or (number 0) by name. Alternative names are names: IFLA_ALT_IFNAME finds both.
// Returns 0 or the errno.
int ask_link(mnl_socket* netlink, unsigned ifindex, const std::string& name, LinkMessage& answer) {
  // A link message may carry hundreds of attributes (each virtual function has its own): larger than libmnl's default.
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETLINK;
  request->nlmsg_flags = NLM_F_REQUEST;
  request->nlmsg_seq = 1;
  auto* info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg)));
  info->ifi_index = static_cast<int>(ifindex);
  if (ifindex == 0) mnl_attr_put_strz(request, name.size() < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME, name.c_str());
  if (mnl_socket_sendto(netlink, request, request->nlmsg_len) < 0) return errno;

  const ssize_t received = mnl_socket_recvfrom(netlink, buffer.data(), buffer.size());
  if (received < 0) return errno;
  const auto* reply = reinterpret_cast<const nlmsghdr*>(buffer.data());
  if (!mnl_nlmsg_ok(reply, static_cast<int>(received))) return EBADMSG;
  if (reply->nlmsg_type == NLMSG_ERROR) return -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(reply))->error;
  answer = parse(reply);
  return 0;
}

bool ready(const LinkMessage& link) noexcept { return (link.flags & IFF_UP) != 0 && link.has_carrier; }

// Waits until something happens to some interface; false at the deadline. What happened is not read from the event,
// which may have been lost on the way (ENOBUFS): it only says that it is time to ask again.
bool await_event(mnl_socket* events, std::chrono::steady_clock::time_point deadline) noexcept {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  pollfd readable{mnl_socket_get_fd(events), POLLIN, 0};
  if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) == 0) return false;
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  (void)mnl_socket_recvfrom(events, buffer.data(), buffer.size());
  return true;
}

}  // namespace

Link read_link(std::string_view name) {
  const Netlink netlink = open_netlink(0);
  LinkMessage message;
  const std::string object = "interface " + std::string(name);
  int error = name.empty() ? ENODEV : ask_link(netlink.get(), 0, std::string(name), message);
  // A short alternative name is not found as a name; libc asks the kernel in a way that knows both.
  if (error == ENODEV && !name.empty())
    if (const unsigned ifindex = ::if_nametoindex(std::string(name).c_str()); ifindex != 0)
      error = ask_link(netlink.get(), ifindex, {}, message);
  if (error == ENODEV)
    throw SetupError(ExitCode::machine_cannot, object, "there is no such interface", "ip link lists those there are");
  if (error != 0) throw SetupError(ExitCode::machine_cannot, object, std::generic_category().message(error));

  Link link;
  link.name = message.name;
  link.ifindex = message.ifindex;
  link.mtu_bytes = message.mtu_bytes;
  link.is_up = (message.flags & IFF_UP) != 0;
  link.has_carrier = message.has_carrier;
  link.driver = ethtool::driver(link.name).value_or("");
  link.nic_ring_entries = ethtool::rx_ring_entries(link.name);
  if (const auto channels = ethtool::channels(link.name); channels && channels->rx != 0) {
    link.rx_queues = channels->rx;
    link.max_rx_queues = std::max(channels->max_rx, channels->rx);
    link.combined_channels = channels->combined;
  } else {
    link.rx_queues = std::max(1U, message.allocated_rx_queues);
  }
  return link;
}

void require_queues(const Link& link, std::uint32_t queues) {
  if (queues == 0) throw SetupError(ExitCode::bad_usage, "--queues 0", "there must be at least one queue");
  if (queues <= link.rx_queues) return;
  const std::string wanted = std::to_string(queues);
  const std::string object = "use " + wanted + " queues of " + link.name;
  const std::string has =
      "it has " + std::to_string(link.rx_queues) + " receive queue" + (link.rx_queues == 1 ? "" : "s");
  const std::string fewer = "use --queues " + std::to_string(link.rx_queues);
  if (!link.max_rx_queues) throw SetupError(ExitCode::machine_cannot, object, has, fewer);
  if (queues > *link.max_rx_queues)
    throw SetupError(ExitCode::machine_cannot, object, has + " and can have " + std::to_string(*link.max_rx_queues),
                     fewer);
  // veth must not have fewer receive queues than its peer has transmit queues, so both are set.
  const std::string set = link.combined_channels  ? " combined " + wanted
                          : link.driver == "veth" ? " rx " + wanted + " tx " + wanted
                                                  : " rx " + wanted;
  throw SetupError(ExitCode::machine_cannot, object, has, "ethtool -L " + link.name + set);
}

bool wait_for_carrier(unsigned ifindex, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  // Listening comes before asking, so that no change falls between the two.
  const Netlink events = open_netlink(RTMGRP_LINK);
  const Netlink question = open_netlink(0);
  LinkMessage link;
  do {
    if (ask_link(question.get(), ifindex, {}, link) != 0) return false;
    if (ready(link)) return true;
  } while (await_event(events.get(), deadline));
  return false;
}

DeviceCounters device_counters(const void* payload, std::size_t bytes) noexcept {
  // Kernels append members: what is shorter than ours leaves the rest 0.
  rtnl_link_stats64 raw{};
  std::memcpy(&raw, payload, std::min(bytes, sizeof raw));
  return {raw.rx_packets, raw.rx_dropped, raw.rx_missed_errors, raw.rx_errors, raw.tx_packets, raw.tx_dropped};
}

std::optional<DeviceCounters> read_device_counters(unsigned ifindex) {
  const Netlink netlink = open_netlink(0);
  LinkMessage message;
  if (ask_link(netlink.get(), ifindex, {}, message) != 0) return std::nullopt;
  return message.counters;
}

}  // namespace xsk
