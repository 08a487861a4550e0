// Which way in: for each interface the best that works, said with the kernel's reason where it is not the first.
//
//   AF_XDP zero-copy -> AF_XDP copy -> generic XDP -> AF_PACKET
//
// The first three are XdpPort's: driver and kernel decide between them. AF_PACKET is a tap: it takes nothing away, and
// so it is also the way for an interface that this machine is reached by, unless the operator says what to take. A
// forced mode fails instead of falling back. Main thread, set-up.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "bpf/filter.h"
#include "bpf/root_program.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/source/port.h"

namespace engine {

// What a capture needs beside what the settings say.
struct CaptureRequest {
  std::optional<bpf::RootProgram> program;  // for the first interface, loaded elsewhere (a privileged helper, a test)
  std::optional<bpf::FilterExpression> filter;  // the operator's and the plugins'; nothing: everything
  // Adds the stages before the filter to a root program that is about to be made; outlives the capture.
  std::function<void(bpf::RootConfig&)> add_stages = nullptr;
};

// The ports for all that --iface names, in its order; their lanes are still to be opened. Throws SetupError.
std::vector<std::unique_ptr<Port>> open_ports(const cli::Settings& settings, const cli::Log& log,
                                              CaptureRequest request);

}  // namespace engine
