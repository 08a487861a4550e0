// Which interfaces must not lose packets to us unasked.
//
// AF_XDP takes packets away from the kernel. On an interface that this machine is reached by, that cuts off whoever
// started the engine over it. Main thread, before anything is attached.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/cli/host_network.h"
#include "engine/cli/settings.h"

namespace engine::cli {

// "carries the IPv4 default route", "lies below bond0, which carries …"; nothing if the interface is free or unknown.
std::optional<std::string> why_protected(const HostNetwork& network, std::string_view interface);
std::optional<std::string> why_protected(std::string_view interface);

// Whether the operator has said what may be taken away from this machine: by a filter of his own (none of a plugin's)
// or
// --take-all.
bool has_consent(const Settings& settings);

}  // namespace engine::cli
