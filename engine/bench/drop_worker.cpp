#include "engine/bench/drop_worker.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "engine/gen/spec.h"

namespace engine::bench {
namespace {

constexpr std::uint32_t destination_offset = 30;  // IPv4 behind an Ethernet header without tags

void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

std::vector<int> descriptors(const std::vector<Lane*>& lanes) {
  std::vector<int> fds;
  for (const Lane* lane : lanes) fds.push_back(lane->fd);
  return fds;
}

}  // namespace

DropWorker::DropWorker(std::vector<Lane*> lanes, WorkerControl& control, const WorkerConfig& config)
    : SampledWorker(descriptors(lanes), control, config), lanes_(std::move(lanes)) {}

std::uint32_t DropWorker::look() noexcept {
  std::uint32_t received = 0;
  for (Lane* lane : lanes_) received += serve(*lane);
  return received;
}

// The receive path: look, touch, count; the batch gives its frames back as it goes.
std::uint32_t DropWorker::serve(Lane& lane) noexcept {
  const xsk::RxBatch packets = lane.queue->receive(batch());
  if (packets.empty()) {
    if (lane.queue->needs_wakeup()) recvfrom(lane.fd, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
    return 0;
  }
  static const std::uint32_t test_destination = htonl(gen::TrafficSpec().destination4);
  const std::byte* const umem = lane.queue->umem().data();
  std::uint64_t bytes = 0, ours = 0;
  for (std::uint32_t i = 0; i < packets.size(); ++i) {
    const xsk::ReceivedPacket packet = packets[i];
    std::uint32_t word;
    // A shorter one's frame has that many bytes all the same.
    std::memcpy(&word, umem + packet.offset + destination_offset, sizeof word);
    ours += word == test_destination;
    bytes += packet.len;
  }
  add(lane.analysed, packets.size());
  add(lane.rx_bytes, bytes);
  count(packets.size(), bytes, ours);
  return packets.size();
}

void DropWorker::remind() noexcept {
  for (const Lane* lane : lanes_) recvfrom(lane->fd, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

}  // namespace engine::bench
