#include "engine/bench/drop_worker.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "engine/base/error.h"
#include "engine/clock.h"
#include "engine/gen/spec.h"

namespace engine::bench {
namespace {

constexpr std::uint32_t rounds_per_wake = 4096;  // how often a spinning worker asks the kernel to go on, to be sure
constexpr int poll_timeout_ms = 100;
constexpr std::uint32_t destination_offset = 30;  // IPv4 behind an Ethernet header without tags

void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

WorkerSample difference(const WorkerSample& after, const WorkerSample& before) {
  WorkerSample change = after;
  change.at_ns -= before.at_ns;
  change.cost.user_ns -= before.cost.user_ns;
  change.cost.kernel_ns -= before.cost.kernel_ns;
  if (change.cost.cycles) *change.cost.cycles -= before.cost.cycles.value_or(0);
  change.packets -= before.packets;
  change.bytes -= before.bytes;
  change.ours -= before.ours;
  change.batches -= before.batches;
  change.polls -= before.polls;
  change.empty_polls -= before.empty_polls;
  return change;
}

DropWorker::DropWorker(std::vector<Lane*> lanes, DropControl& control, const Config& config)
    : lanes_(std::move(lanes)), control_(control), config_(config), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_.valid()) throw SetupError(ExitCode::runtime_failure, "create an eventfd", std::strerror(errno));
}

void DropWorker::wake() const noexcept { eventfd_write(wake_.get(), 1); }

void DropWorker::run() noexcept {
  const ThreadMeter meter;
  for (;;) {
    const bool ending = control_.ending.load(std::memory_order_acquire);  // before the rings are looked at
    if (control_.samples.load(std::memory_order_acquire) != samples_given_.load(std::memory_order_relaxed))
      take_sample(meter);
    if (config_.watch_gaps) look_at_clock();
    std::uint32_t received = 0;
    for (Lane* lane : lanes_) received += serve(*lane);
    now_.polls += now_.packets > 0;
    if (received > 0) continue;
    now_.empty_polls += now_.packets > 0;
    if (ending) break;
    idle();
  }
}

// The receive path: look, touch, count; the batch gives its frames back as it goes.
std::uint32_t DropWorker::serve(Lane& lane) noexcept {
  const xsk::RxBatch batch = lane.queue->receive(config_.batch);
  if (batch.empty()) {
    if (lane.queue->needs_wakeup()) recvfrom(lane.fd, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
    return 0;
  }
  static const std::uint32_t test_destination = htonl(gen::TrafficSpec().destination4);
  const std::byte* const umem = lane.queue->umem().data();
  std::uint64_t bytes = 0, ours = 0;
  for (std::uint32_t i = 0; i < batch.size(); ++i) {
    const xsk::ReceivedPacket packet = batch[i];
    std::uint32_t word;
    static_assert(destination_offset + sizeof word <= 60, "what the shortest frame on a wire holds");
    std::memcpy(&word, umem + packet.offset + destination_offset, sizeof word);
    ours += word == test_destination;
    bytes += packet.len;
  }
  count(lane, batch.size(), bytes, ours);
  return batch.size();
}

void DropWorker::count(Lane& lane, std::uint32_t packets, std::uint64_t bytes, std::uint64_t ours) noexcept {
  add(lane.analysed, packets);
  add(lane.rx_bytes, bytes);
  if (now_.packets == 0) eventfd_write(control_.first_fd, 1);
  now_.packets += packets;
  now_.bytes += bytes;
  now_.ours += ours;
  ++now_.batches;
  if (control_.limit == 0) return;
  const std::uint64_t before = control_.budget_used.fetch_add(packets, std::memory_order_relaxed);
  if (before < control_.limit && before + packets >= control_.limit) eventfd_write(control_.done_fd, 1);
}

void DropWorker::idle() noexcept {
  if (config_.spin) {
    if (++empty_rounds_ % rounds_per_wake != 0) return;
  } else {
    std::array<pollfd, kMaxLanes + 1> waits;
    std::size_t count = 0;
    for (const Lane* lane : lanes_) waits[count++] = {lane->fd, POLLIN, 0};
    waits[count++] = {wake_.get(), POLLIN, 0};
    const bool woken = poll(waits.data(), count, poll_timeout_ms) > 0;
    if (waits[count - 1].revents != 0) {
      eventfd_t times = 0;
      eventfd_read(wake_.get(), &times);
    }
    last_look_ns_ = 0;
    if (woken) return;
  }
  for (const Lane* lane : lanes_) recvfrom(lane->fd, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

void DropWorker::look_at_clock() noexcept {
  const std::uint64_t at_ns = monotonic_ns();
  if (last_look_ns_ != 0) now_.longest_gap_ns = std::max(now_.longest_gap_ns, at_ns - last_look_ns_);
  last_look_ns_ = at_ns;
}

// The longest gap is that since the last sample.
void DropWorker::take_sample(const ThreadMeter& meter) noexcept {
  given_ = now_;
  given_.at_ns = monotonic_ns();
  given_.cost = meter.cost();
  now_.longest_gap_ns = 0;
  samples_given_.store(control_.samples.load(std::memory_order_relaxed), std::memory_order_release);
  samples_given_.notify_all();
}

WorkerSample DropWorker::sample() const {
  const std::uint32_t asked = control_.samples.load(std::memory_order_relaxed);
  for (std::uint32_t given; (given = samples_given_.load(std::memory_order_acquire)) != asked;)
    samples_given_.wait(given, std::memory_order_acquire);
  return given_;
}

}  // namespace engine::bench
