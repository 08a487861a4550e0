// Promiscuous mode for as long as the object lives.
//
// The kernel counts memberships of packet sockets and drops them with the socket (net/packet/af_packet.c:
// packet_flush_mclist), so the interface is left as it was however the process ends, SIGKILL included. Needs
// CAP_NET_RAW when made, nothing afterwards. Main thread.
#pragma once

#include <string_view>

#include "engine/base/unique_fd.h"

namespace engine::cli {

class Promiscuous {
 public:
  Promiscuous() noexcept = default;                  // asks for nothing
  explicit Promiscuous(std::string_view interface);  // throws SetupError

 private:
  UniqueFd socket_;
};

}  // namespace engine::cli
