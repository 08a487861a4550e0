#include "engine/source/xdp_memory.h"

#include <algorithm>
#include <map>

#include "numa/huge_pages.h"

namespace engine {
namespace {

constexpr std::size_t kCacheLine_bytes = 64;

// Lanes of one worker go together, as many as should share a UMEM.
std::vector<XdpMemory> group(std::span<const LanePlace> places) {
  std::vector<XdpMemory> groups;
  for (std::size_t lane = 0; lane < places.size(); ++lane) {
    const auto found = std::ranges::find_if(groups, [&](const XdpMemory& one) {
      return one.range == places[lane].range && one.lanes.size() < xsk::max_queues_per_umem;
    });
    XdpMemory& mine = found != groups.end() ? *found : groups.emplace_back();
    mine.range = places[lane].range;
    mine.lanes.push_back(lane);
  }
  return groups;
}

void open(XdpMemory& memory, const XdpMemoryRequest& request, std::span<const std::unique_ptr<Lane>> lanes,
          unsigned node) {
  const auto populate = numa::NodeMemory::Populate::on_first_touch;
  const std::size_t umem_bytes =
      std::size_t{request.frames_per_queue} * request.frames.chunk_bytes * memory.lanes.size();
  memory.umem = numa::NodeMemory(memory.range->take(umem_bytes), umem_bytes, node, populate, request.pages);
  if (request.frames.multi_buffer) {
    const std::size_t room_bytes =
        (request.frames.packet_bytes + kCacheLine_bytes - 1) / kCacheLine_bytes * kCacheLine_bytes;
    const std::size_t area_bytes = room_bytes * kMaxBatchPackets;
    memory.gather_area = numa::NodeMemory(memory.range->take(area_bytes), area_bytes, node, populate);
  }
  xsk::SocketConfig config = request.socket;
  config.umem = memory.umem.bytes().first(umem_bytes);
  config.chunk_bytes = request.frames.chunk_bytes;
  config.multi_buffer = request.frames.multi_buffer;
  config.single_frame_mtu = request.frames.single_frame_mtu;
  std::vector<xsk::QueueId> queues;
  for (const std::size_t lane : memory.lanes) queues.emplace_back(lanes[lane]->index);
  memory.sockets = xsk::Socket::open_sharing(config, queues);
}

std::string mebibytes(std::size_t bytes) {
  const std::size_t tenths = (bytes * 10 + (1U << 19)) >> 20;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

bool in_huge_pages(const XdpMemory& memory) { return memory.umem.page_bytes() == numa::huge_page_bytes; }

}  // namespace

std::vector<XdpMemory> open_xdp_memory(const XdpMemoryRequest& request, std::span<const std::unique_ptr<Lane>> lanes,
                                       std::span<const LanePlace> places) {
  std::vector<XdpMemory> all = group(places);
  for (XdpMemory& memory : all) open(memory, request, lanes, places[memory.lanes.front()].node);
  return all;
}

std::string describe_memory(const std::vector<XdpMemory>& memory) {
  std::size_t bytes = 0;
  for (const XdpMemory& one : memory) bytes += one.umem.bytes().size() + one.gather_area.bytes().size();
  const bool huge = std::ranges::all_of(memory, in_huge_pages);
  return mebibytes(bytes) + (huge ? " in pages of 2 MiB" : "");
}

std::vector<std::string> advice_on_memory(const std::vector<XdpMemory>& memory) {
  std::vector<std::string> lines;
  std::map<unsigned, std::size_t> wanted_bytes;  // by node
  for (const XdpMemory& one : memory)
    if (!one.umem.why_normal_pages().empty()) wanted_bytes[one.umem.node()] += one.umem.bytes().size();
  for (const auto& [node, bytes] : wanted_bytes) {
    const auto one = std::ranges::find_if(memory, [node = node](const XdpMemory& each) {
      return each.umem.node() == node && !each.umem.why_normal_pages().empty();
    });
    lines.push_back("packet memory is in normal pages: " + one->umem.why_normal_pages() +
                    "; pages of 2 MiB are reserved by: " + numa::reserve_command(node, bytes));
  }
  xsk::ObtainedMode worst = memory.front().sockets.front().mode();
  for (const XdpMemory& each : memory) worst = std::max(worst, each.sockets.front().mode());
  for (const XdpMemory& each : memory) {
    if (each.sockets.front().mode() == worst) continue;
    std::string queues;
    for (const xsk::Socket& socket : each.sockets)
      queues += (queues.empty() ? "" : ",") + std::to_string(socket.queue().value());
    lines.push_back("queues " + queues + " are in mode " + std::string(xsk::to_string(each.sockets.front().mode())));
  }
  return lines;
}

}  // namespace engine
