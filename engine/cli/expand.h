// The devices that are captured for what --iface names: a bond's members, a VLAN device's parent.
//
// AF_XDP receives from a driver's queues, and neither a bond nor a VLAN device has any: they hand on what the devices
// below them received. Decided over a snapshot of the links (plain values), on the main thread before capture starts.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/cli/host_network.h"
#include "engine/cli/settings.h"

namespace engine::cli {

struct CapturedDevice {
  InterfaceSetting device;  // by its own name, not an alternative one
  std::string note;         // for the log, where it is not what was named: "member of bond0"
};

// In the order named, members in the order of their indices. An interface that is not in the snapshot stays as it is
// named: who opens it says that there is none. With `tap` all stay: AF_PACKET receives from any device. Throws
// SetupError(bad_usage) for a queue that is named twice, SetupError(machine_cannot) for a bond without members.
std::vector<CapturedDevice> expand(const HostNetwork& network, std::span<const InterfaceSetting> named, bool tap);

}  // namespace engine::cli
