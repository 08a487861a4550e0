#include "engine/bench/forward_worker.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "engine/gen/spec.h"

namespace engine::bench {
namespace {

constexpr std::size_t mac_bytes = 6;
// One call sends 32 packets in copy mode (TX_BATCH_SIZE in net/xdp/xsk.c) and says EAGAIN if there are more.
constexpr int calls_per_batch = 16;

void swap_macs(std::span<std::byte> frame) noexcept {
  if (frame.size() < 2 * mac_bytes) return;
  std::byte destination[mac_bytes];
  std::memcpy(destination, frame.data(), mac_bytes);
  std::memmove(frame.data(), frame.data() + mac_bytes, mac_bytes);
  std::memcpy(frame.data() + mac_bytes, destination, mac_bytes);
}

std::vector<int> descriptors(const std::vector<Direction>& directions) {
  std::vector<int> fds;
  for (const Direction& direction : directions) fds.push_back(direction.from->fd());
  return fds;
}

}  // namespace

ForwardWorker::ForwardWorker(std::vector<Direction> directions, bool swap_macs, WorkerControl& control,
                             const WorkerConfig& config)
    : SampledWorker(descriptors(directions), control, config),
      directions_(std::move(directions)),
      swap_macs_(swap_macs) {}

std::uint32_t ForwardWorker::look() noexcept {
  std::uint32_t received = 0;
  for (const Direction& direction : directions_) received += serve(direction);
  return received;
}

// The whole of forwarding: take back what was sent, move what came, tell the kernel.
std::uint32_t ForwardWorker::serve(const Direction& direction) noexcept {
  xsk::ForwardQueue& from = direction.from->forward_queue();
  xsk::ForwardQueue& to = direction.to->forward_queue();
  from.reclaim_from(to);
  std::uint64_t bytes = 0;
  const auto moved = swap_macs_
                         ? from.move_to(to, batch(),
                                        [&bytes](std::span<std::byte> frame) {
                                          swap_macs(frame);
                                          bytes += frame.size();
                                        })
                         : from.move_to(to, batch(), [&bytes](std::span<std::byte> frame) { bytes += frame.size(); });
  if (moved.packets == 0) {
    if (from.needs_rx_wakeup()) direction.from->wake_rx();
    return 0;
  }
  if (moved.forwarded > 0) send(*direction.to);
  count(moved.packets, bytes, 0);
  return moved.packets;
}

void ForwardWorker::send(xsk::Socket& socket) noexcept {
  for (int calls = 0; calls < calls_per_batch && socket.forward_queue().needs_tx_wakeup(); ++calls)
    if (socket.wake_tx() != EAGAIN) return;
}

void ForwardWorker::remind() noexcept {
  for (const Direction& direction : directions_) {
    direction.from->wake_rx();
    if (direction.from->forward_queue().in_flight() > 0) direction.to->wake_tx();
  }
}

bool ForwardWorker::settled() noexcept {
  return std::ranges::all_of(directions_,
                             [](const Direction& it) { return it.from->forward_queue().in_flight() == 0; });
}

}  // namespace engine::bench
