// The first packets of a capture file, decoded and in memory, to be offered to a plugin again and again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugins/abi.h"

namespace engine::check {

struct Packets {
  std::vector<std::uint8_t> frames;    // the packets' _off count from here
  std::vector<engine_packet> packets;  // time counts from the first one
  std::uint64_t epoch_ns = 0;
  int datalink = 0;
};

// At most 65,536 packets or 64 MiB of them. Throws SetupError for a file that is missing or no capture.
Packets read_packets(const std::string& path);

}  // namespace engine::check
