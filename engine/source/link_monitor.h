// Watches the interfaces that are captured: listens to rtnetlink, and asks where that may not tell.
//
// Owns its sockets, which belong to the network namespace of the thread that made it. Main thread; needs no capability.
// The kernel announces no change of channels by ioctl and no program that was detached through its bpf_link, and drops
// messages (ENOBUFS) for who reads too slowly: so take() also asks, when it is told to and after such a loss.
#pragma once

#include <libmnl/libmnl.h>

#include <memory>
#include <vector>

#include "engine/cli/netlink.h"
#include "engine/source/link_state.h"

namespace engine {

class LinkMonitor {
 public:
  enum class Ask { if_needed, now };

  explicit LinkMonitor(const std::vector<xsk::Link>& links);  // as they were last seen; throws SetupError

  int fd() const noexcept { return mnl_socket_get_fd(events_.get()); }  // readable: there is something to take

  // What has happened, in order. Does not wait.
  std::vector<LinkEvent> take(Ask ask = Ask::if_needed);

  const LinkState& state(std::size_t link) const noexcept { return tracker_.state(link); }

 private:
  struct Close {
    void operator()(mnl_socket* socket) const noexcept { mnl_socket_close(socket); }
  };

  bool drain(std::vector<LinkEvent>& events);
  void ask_for(std::size_t link, std::vector<LinkEvent>& events);
  void look_at_queues(std::size_t link, std::vector<LinkEvent>& events);

  LinkTracker tracker_;
  std::unique_ptr<mnl_socket, Close> events_;
  cli::Netlink question_;
  std::vector<char> buffer_;
  std::vector<bool> touched_;  // by link: something was told of it
};

}  // namespace engine
