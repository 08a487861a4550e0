// The packet memory of an AF_XDP port and the sockets in it: one UMEM for the queues that one worker serves.
//
// Made and destroyed by the main thread; the lanes' workers use queues and memory as plain values meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/source/port.h"
#include "numa/memory.h"
#include "xsk/sizes.h"
#include "xsk/socket.h"

namespace engine {

// Destroyed in reverse order: the sockets, then the memory they use.
struct XdpMemory {
  std::vector<std::size_t> lanes;  // of the port
  numa::AddressRange* range = nullptr;
  numa::NodeMemory umem;
  numa::NodeMemory gather_area;      // empty where every packet fits into a frame
  std::vector<xsk::Socket> sockets;  // parallel to the lanes
};

struct XdpMemoryRequest {
  xsk::SocketConfig socket;  // what all have in common
  xsk::FrameChoice frames;
  std::uint32_t frames_per_queue = 0;
  numa::Pages pages = numa::Pages::automatic;
};

// A socket for each lane, in memory at its place: places[i] is lanes[i]'s. Nothing is told to the lanes yet, so that a
// SetupError leaves them as they were.
std::vector<XdpMemory> open_xdp_memory(const XdpMemoryRequest& request, std::span<const std::unique_ptr<Lane>> lanes,
                                       std::span<const LanePlace> places);

// "8.0 MiB in pages of 2 MiB", all of it; and lines for the log on what could be better: pages, modes.
std::string describe_memory(const std::vector<XdpMemory>& memory);
std::vector<std::string> advice_on_memory(const std::vector<XdpMemory>& memory);

}  // namespace engine
