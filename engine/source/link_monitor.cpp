#include "engine/source/link_monitor.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>

#include "engine/base/error.h"
#include "xsk/ethtool.h"

namespace engine {
namespace {

// A link message may carry hundreds of attributes (each virtual function has its own).
constexpr std::size_t kBuffer_bytes = 64 * 1024;

}  // namespace

LinkMonitor::LinkMonitor(const std::vector<xsk::Link>& links)
    : tracker_(links),
      events_(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK)),
      question_(NETLINK_ROUTE),
      buffer_(kBuffer_bytes),
      touched_(links.size(), true) {
  if (events_ == nullptr || mnl_socket_bind(events_.get(), RTMGRP_LINK, MNL_SOCKET_AUTOPID) != 0)
    throw SetupError(ExitCode::machine_cannot, "listen to rtnetlink", std::strerror(errno));
}

std::vector<LinkEvent> LinkMonitor::take(Ask ask) {
  std::vector<LinkEvent> events;
  const bool complete = drain(events);
  for (std::size_t link = 0; link < tracker_.size(); ++link) {
    if (ask == Ask::now || !complete) ask_for(link, events);
    if (ask == Ask::now || touched_[link]) look_at_queues(link, events);
    touched_[link] = false;
  }
  return events;
}

// False where the kernel has dropped messages.
bool LinkMonitor::drain(std::vector<LinkEvent>& events) {
  bool complete = true;
  for (;;) {
    const ssize_t size = mnl_socket_recvfrom(events_.get(), buffer_.data(), buffer_.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == ENOBUFS || errno == ENOSPC)) {  // the queue's end was lost; the message was cut
      complete = false;
      continue;
    }
    if (size <= 0) return complete;
    int left = static_cast<int>(size);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      const std::optional<LinkReport> report = parse_link(message);
      if (!report) continue;
      if (const auto link = tracker_.take(*report, events)) touched_[*link] = true;
    }
  }
}

// By number while it is there: it may have got another name.
void LinkMonitor::ask_for(std::size_t link, std::vector<LinkEvent>& events) {
  const LinkState& state = tracker_.state(link);
  const unsigned asked = state.ifindex;
  const int error = question_.ask(
      RTM_GETLINK, 0,
      [&](nlmsghdr* request) {
        auto* const info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg)));
        info->ifi_index = static_cast<int>(state.ifindex);
        if (state.ifindex == 0) mnl_attr_put_strz(request, IFLA_IFNAME, tracker_.name(link).c_str());
      },
      [&](const nlmsghdr* answer) {
        if (const auto report = parse_link(answer)) tracker_.take(*report, events);
      });
  if (error != ENODEV || state.ifindex == 0) return;
  // By now its end has been announced (both hold the kernel's rtnl lock), and the message may know more: of a move.
  drain(events);
  if (state.ifindex == asked) tracker_.gone(link, events);
}

void LinkMonitor::look_at_queues(std::size_t link, std::vector<LinkEvent>& events) {
  const LinkState& state = tracker_.state(link);
  if (state.ifindex == 0) return;
  if (const auto channels = xsk::ethtool::channels(state.name); channels && channels->rx != 0)
    tracker_.queues(link, channels->rx, events);
}

}  // namespace engine
