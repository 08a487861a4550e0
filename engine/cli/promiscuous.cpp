#include "engine/cli/promiscuous.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "engine/base/error.h"

namespace engine::cli {

Promiscuous::Promiscuous(std::string_view interface) {
  const std::string name(interface);
  const std::string object = "promiscuous mode of " + name;
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0)
    throw SetupError(ExitCode::machine_cannot, object, std::strerror(errno), "'ip link' lists interfaces");
  // Protocol 0: the socket receives nothing, it only holds the membership.
  socket_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  packet_mreq membership{};
  membership.mr_ifindex = static_cast<int>(index);
  membership.mr_type = PACKET_MR_PROMISC;
  if (socket_.valid() &&
      setsockopt(socket_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) == 0) {
    return;
  }
  const bool denied = errno == EPERM || errno == EACCES;
  throw SetupError(denied ? ExitCode::not_permitted : ExitCode::machine_cannot, object, std::strerror(errno),
                   denied ? "needs CAP_NET_RAW; or give --no-promisc" : "or give --no-promisc");
}

}  // namespace engine::cli
