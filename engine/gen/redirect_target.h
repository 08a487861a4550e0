// Whether a device can transmit frames that an XDP program redirects to it, as live frames are.
#pragma once

#include <optional>

namespace engine::gen {

// What the kernel says (netdev generic netlink, since Linux 6.3); nothing where it does not. For a veth that depends on
// the peer: it must have an XDP program or GRO.
std::optional<bool> is_redirect_target(unsigned ifindex);

}  // namespace engine::gen
