// Frames of what no mix has: what a plugin that parses messages looks for. They are dealt among the built-in packets,
// so that such a plugin is warmed up on its own ways too, and shows something in a dry run.
//
// HTTP requests and responses, TLS hellos, TCP's first and last segments with options, ICMP errors, ARP: whole frames,
// checksums right, always the same ones.
#pragma once

#include <cstddef>
#include <vector>

namespace engine::gen {

// Each round has other clients and connections.
std::vector<std::vector<std::byte>> sample_frames(unsigned round = 0);

}  // namespace engine::gen
