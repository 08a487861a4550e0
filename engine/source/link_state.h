// What happens to interfaces that are captured, told from rtnetlink's messages. Pure: no socket, no clock.
//
// Used by the main thread (link_monitor.h). An interface is watched by its name: where the one that was captured has
// gone, any other that comes by that name is taken for its return.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "xsk/link.h"

struct nlmsghdr;

namespace engine {

struct LinkState {
  unsigned ifindex = 0;  // 0: there is none
  std::string name;
  bool up = false;  // administratively
  bool carrier = false;
  std::uint32_t mtu_bytes = 0;
  std::uint32_t rx_queues = 0;                 // no part of messages: ethtool tells
  std::array<std::uint32_t, 3> programs = {};  // XDP programs' ids: native, generic, offloaded; 0: none
  xsk::DeviceCounters counters;                // at the time of the message

  bool usable() const noexcept { return up && carrier; }
};

// One message of the kernel about one interface.
struct LinkReport {
  LinkState link;
  bool gone = false;   // removed, or
  bool moved = false;  // gone to another network namespace
};

// Nothing where the message is about something else. A bridge and IPv6 tell of their own view of an interface by the
// same messages: RTM_DELLINK of family AF_BRIDGE is a port that left its bridge (net/bridge/br_netlink.c) and is alive.
std::optional<LinkReport> parse_link(const nlmsghdr* message);

enum class LinkChange { down, up, removed, moved, returned, renamed, mtu, queues, program };

struct LinkEvent {
  std::size_t link = 0;  // among those that are watched
  LinkChange change = LinkChange::down;
  LinkState before;
  LinkState now;
};

class LinkTracker {
 public:
  explicit LinkTracker(const std::vector<xsk::Link>& links);  // as they were last seen

  // Adds what is new in it. Returns the number of the watched link that it is about, or none.
  std::optional<std::size_t> take(const LinkReport& report, std::vector<LinkEvent>& events);
  // The kernel was asked and knows no such interface.
  void gone(std::size_t link, std::vector<LinkEvent>& events);
  void queues(std::size_t link, std::uint32_t rx_queues, std::vector<LinkEvent>& events);

  std::size_t size() const noexcept { return links_.size(); }
  const LinkState& state(std::size_t link) const noexcept { return links_[link].state; }
  const std::string& name(std::size_t link) const noexcept { return links_[link].name; }

 private:
  struct Watched {
    std::string name;  // under which it is captured, and comes back
    LinkState state;
  };

  std::optional<std::size_t> find(const LinkState& link) const noexcept;
  void leave(std::size_t link, const LinkReport& report, std::vector<LinkEvent>& events);
  void compare(std::size_t link, const LinkState& now, std::vector<LinkEvent>& events);

  std::vector<Watched> links_;
};

}  // namespace engine
