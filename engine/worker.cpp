#include "engine/worker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <type_traits>
#include <utility>

#include "bpf/hints.h"
#include "engine/base/error.h"
#include "engine/clock.h"
#include "engine/decode/decode.h"
#include "engine/tap/packet_socket.h"

namespace engine {
namespace {

// How often an idle spinning worker reads the clock and asks the socket whether its interface still exists.
constexpr std::uint32_t kEmptyRoundsPerCheck = 4096;
// How long what arrived before the detach may take to be analysed; the rest is drained unseen and counted.
constexpr std::uint64_t kDrainLimit_ns = 2'000'000'000;
constexpr int kPollTimeout_ms = 100;
constexpr std::uint64_t kShortestNap_ns = 10'000;  // about what a wake-up costs on both sides
constexpr unsigned long kTimerSlack_ns = 1000;
constexpr std::uint8_t kFromKernel = 2;  // _ts_source
constexpr std::uint8_t kFromHardware = 3;

// One writer: a plain load and store, no locked instruction.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

Worker::Worker(std::vector<Lane*> lanes, Analysis& analysis, RunControl& control, const std::uint8_t* frames,
               const Idling& idling)
    : lanes_(std::move(lanes)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      analysis_(analysis),
      control_(control),
      frames_(frames),
      idling_(idling) {
  if (!wake_.valid()) throw SetupError(ExitCode::runtime_failure, "create an eventfd", strerror(errno));
  control_.wake_fds.push_back(wake_.get());
  served_.reserve(lanes_.size());
  for (Lane* lane : lanes_)
    if (lane->served) served_.push_back(lane);
}

void RunControl::wake_workers() const noexcept {
  for (const int fd : wake_fds) eventfd_write(fd, 1);
}

void Worker::run() noexcept {
  analysis_.touch();
  // Else the kernel lets each of our naps last 50 us longer.
  if (idling_.coalesce_ns > 0) prctl(PR_SET_TIMERSLACK, kTimerSlack_ns);
  while (control_.phase.load(std::memory_order_acquire) == RunControl::running) {
    if (control_.lane_changes.load(std::memory_order_acquire) != changes_seen_) change_lanes();
    if (serve_all() == 0) idle();
  }
  drain();
  cpu_ns_ = thread_cpu_ns();
}

std::uint32_t Worker::serve_all() noexcept {
  std::uint32_t received = 0;
  for (Lane* lane : served_) received += serve(*lane);
  if (received == 0) return 0;
  add(polls_, 1);
  packets_since_idle_ += received;
  empty_rounds_ = 0;
  // Longer batches pay off only when there is more waiting than a batch takes.
  batch_packets_ = received >= batch_packets_ * served_.size() ? kMaxBatchPackets : kBatchPackets;
  return received;
}

// The receive path, top-down: look, decode, plugins, publish, count; the batch gives its frames back as it goes.
std::uint32_t Worker::serve_queue(Lane& lane) noexcept {
  const xsk::RxBatch batch = lane.queue->receive(batch_packets_);
  if (batch.empty()) {
    // A driver with an empty fill ring sleeps until it is told that there are frames again. Asked here and not only
    // when all queues are idle: a busy neighbour must not keep this queue asleep.
    if (lane.queue->needs_wakeup()) wake(lane);
    return 0;
  }
  const std::uint64_t now_ns = wall_ns();
  analysis_.advance_time(now_ns);
  const double time = since_epoch(now_ns);
  const auto serve_at = [&](const auto& place) {
    if (!lane.has_hints) return analyse(lane, batch.size(), place, time, nullptr);
    return analyse(lane, batch.size(), place, time, [&](engine_packet& packet, std::uint32_t i) {
      apply_hints(lane, lane.queue->umem().data() + batch[i].offset, packet);
    });
  };
  if (batch.in_single_frames()) [[likely]]
    return serve_at([&](std::uint32_t i) { return FrameSpan{lane.memory_offset + batch[i].offset, batch[i].len}; });
  gather(lane, batch);
  return serve_at([this](std::uint32_t i) { return gathered_[i]; });
}

// What reads packets wants each in one piece. One that is longer than the interface's MTU allows is cut off.
void Worker::gather(const Lane& lane, const xsk::RxBatch& batch) noexcept {
  const std::size_t room_bytes = lane.gather_area.size() / kMaxBatchPackets;
  for (std::uint32_t i = 0; i < batch.size(); ++i) {
    const xsk::ReceivedPacket packet = batch[i];
    gathered_[i] = {lane.memory_offset + packet.offset, packet.len, packet.len};
    if (!packet.several_frames) continue;
    const std::span<std::byte> room = lane.gather_area.subspan(i * room_bytes, room_bytes);
    gathered_[i].offset = static_cast<std::uint64_t>(reinterpret_cast<const std::uint8_t*>(room.data()) - frames_);
    gathered_[i].caplen = batch.gather(i, room);
  }
}

// What the NIC said of a frame takes the place of what we would find out ourselves, or adds to it.
void Worker::apply_hints(const Lane& lane, std::byte* frame, engine_packet& packet) const noexcept {
  root_hints hints;
  if (!bpf::take_hints(frame, hints)) return;
  if ((hints.valid & ROOT_HINT_HASH) != 0) packet.rss_hash = hints.rx_hash;
  if ((hints.valid & ROOT_HINT_VLAN) != 0) {  // the NIC took the outer tag out
    packet.inner_vlan = packet.vlan;
    packet.vlan = hints.vlan_tci & 0xfff;
  }
  const std::int64_t to_utc_ns = lane.clock_to_utc_ns.load(std::memory_order_relaxed);
  if ((hints.valid & ROOT_HINT_TIMESTAMP) == 0 || to_utc_ns == Lane::kNoClock) return;
  packet.time = since_epoch(hints.rx_timestamp_ns + static_cast<std::uint64_t>(to_utc_ns));
  packet._ts_source = kFromHardware;
}

// The same for a tap's frames, of which the kernel says when each came.
std::uint32_t Worker::serve_tap(Lane& lane) noexcept {
  const PacketBatch batch = lane.tap->receive(batch_packets_);
  if (batch.empty()) return 0;
  analysis_.advance_time(wall_ns());
  return analyse(
      lane, batch.size(),
      [&](std::uint32_t i) {
        return FrameSpan{std::uint64_t{lane.memory_offset} + batch[i].offset, batch[i].caplen, batch[i].len};
      },
      0,
      [&](engine_packet& packet, std::uint32_t i) {
        packet.time = since_epoch(batch[i].time_ns);
        packet._ts_source = kFromKernel;
        packet.outgoing = batch[i].outgoing;
      });
}

template <typename Place, typename Stamp>
std::uint32_t Worker::analyse(Lane& lane, std::uint32_t wanted, const Place& place, double time,
                              const Stamp& stamp) noexcept {
  const std::uint32_t count = control_.limited ? take_from_budget(wanted) : wanted;
  engine_packet* packets = analysis_.packets();
  std::uint64_t bytes = 0;
  decode_batch(count, frames_, place, packets, {time, lane.index, lane.interface});
  for (std::uint32_t i = 0; i < count; ++i) {
    if constexpr (!std::is_null_pointer_v<Stamp>) stamp(packets[i], i);
    bytes += packets[i].len;
  }

  const std::uint64_t results = analysis_.results(), dropped = analysis_.results_dropped();
  const std::uint64_t errors = analysis_.plugin_errors();
  analysis_.run(count);

  add(lane.analysed, count);
  add(lane.skipped, wanted - count);
  add(lane.rx_bytes, bytes);
  add(lane.results, analysis_.results() - results);
  add(lane.results_dropped, analysis_.results_dropped() - dropped);
  add(lane.plugin_errors, analysis_.plugin_errors() - errors);
  return wanted;
}

double Worker::since_epoch(std::uint64_t at_ns) const noexcept {
  return static_cast<double>(static_cast<std::int64_t>(at_ns - analysis_.epoch_ns()));
}

// Everything behind the end of --count is skipped; workers share the budget, one atomic step a batch.
std::uint32_t Worker::take_from_budget(std::uint32_t wanted) noexcept {
  const std::int64_t before = control_.budget.fetch_sub(wanted, std::memory_order_relaxed);
  if (before > static_cast<std::int64_t>(wanted)) return wanted;
  if (before > 0) {  // the batch that used it up: exactly one worker gets here
    const std::uint64_t one = 1;
    if (control_.done_fd >= 0 && write(control_.done_fd, &one, sizeof one) < 0) {
      // An eventfd takes this write unless its counter is at its limit; then the main thread is awake already.
    }
  }
  return before > 0 ? static_cast<std::uint32_t>(before) : 0;
}

void Worker::idle() noexcept {
  if (polls() > 0) {  // the time before the first packet says nothing of how busy the worker is
    add(polls_, 1);
    add(empty_polls_, 1);
  }
  if (idling_.spin) {
    if (++empty_rounds_ % kEmptyRoundsPerCheck != 0) return;
  } else if (nap()) {
    return;
  } else {
    std::array<pollfd, kMaxLanes + 1> waits;
    std::size_t count = 0;
    for (const Lane* lane : served_) waits[count++] = {lane->fd, POLLIN, 0};
    waits[count++] = {wake_.get(), POLLIN, 0};
    const bool woken = poll(waits.data(), count, kPollTimeout_ms) > 0;
    if (waits[count - 1].revents != 0) {
      eventfd_t times = 0;
      eventfd_read(wake_.get(), &times);
    }
    if (woken) {  // by an error too, which goes when it is read
      for (std::size_t i = 0; i < served_.size(); ++i)
        if ((waits[i].revents & POLLERR) != 0) wake(*served_[i]);
      return;
    }
  }
  analysis_.advance_time(wall_ns());
  for (Lane* lane : served_) wake(*lane);
}

// After packets, a sleep from which the queues do not wake it: one wake-up for many bursts, which saves the sender's
// half of it too. It is halved where it brought more than a quarter of what a queue holds, doubled where less than an
// eighth.
bool Worker::nap() noexcept {
  const std::uint64_t packets = std::exchange(packets_since_idle_, 0);
  if (idling_.coalesce_ns == 0 || packets == 0 || served_.empty() || served_.front()->queue == nullptr) return false;
  const std::uint64_t room = served_.front()->queue->layout().frames();
  if (packets > room / 4) {
    nap_ns_ = nap_ns_ / 2 < kShortestNap_ns ? 0 : nap_ns_ / 2;
  } else if (packets < room / 8) {
    nap_ns_ = std::min(std::max(2 * nap_ns_, kShortestNap_ns), idling_.coalesce_ns);
  }
  if (nap_ns_ == 0) return false;
  const timespec time{static_cast<time_t>(nap_ns_ / 1'000'000'000), static_cast<long>(nap_ns_ % 1'000'000'000)};
  pollfd waits{wake_.get(), POLLIN, 0};
  if (ppoll(&waits, 1, &time, nullptr) > 0) {
    eventfd_t times = 0;
    eventfd_read(wake_.get(), &times);
  }
  return true;
}

// A lane that is no longer wanted is emptied first: its port is stopped, so that comes to an end.
void Worker::change_lanes() noexcept {
  changes_seen_ = control_.lane_changes.load(std::memory_order_acquire);
  served_.clear();  // keeps its capacity
  for (Lane* lane : lanes_) {
    if (lane->wanted.load(std::memory_order_relaxed)) {
      served_.push_back(lane);
      lane->served.store(true, std::memory_order_release);
      lane->served.notify_all();
    } else if (lane->served.load(std::memory_order_relaxed)) {
      while (serve(*lane) > 0) {
      }
      lane->served.store(false, std::memory_order_release);
      lane->served.notify_all();
    }
  }
}

// Neither the rings nor poll() tell that an interface has gone; recvfrom() does (net/xdp/xsk.c: xsk_recvmsg). A tap
// tells once that it is down.
void Worker::wake(Lane& lane) noexcept {
  if (lane.fd < 0) return;
  if (lane.tap != nullptr) {
    if (const int error = take_packet_socket_error(lane.fd); error != 0)
      lane.interface_state.store(error, std::memory_order_relaxed);
    return;
  }
  const int error = recvfrom(lane.fd, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr) < 0 ? errno : 0;
  lane.interface_state.store(error == ENXIO || error == ENETDOWN ? error : 0, std::memory_order_relaxed);
}

// The program is detached: nothing new arrives. What is there is analysed while time allows; the rest goes unseen.
void Worker::drain() noexcept {
  const std::uint64_t give_up_ns = monotonic_ns() + kDrainLimit_ns;
  change_lanes();
  for (Lane* lane : served_) {
    while (monotonic_ns() < give_up_ns && serve(*lane) > 0) {
    }
    while (const std::uint32_t unseen = skip(*lane)) add(lane->skipped, unseen);
  }
  const std::uint64_t now_ns = wall_ns();
  analysis_.end_open_intervals(now_ns);
  analysis_.stop(now_ns, 0);
}

std::uint32_t Worker::skip(Lane& lane) noexcept {
  if (lane.tap != nullptr) {
    const PacketBatch unseen = lane.tap->receive(kMaxBatchPackets);
    return unseen.size();
  }
  const xsk::RxBatch unseen = lane.queue->receive(kMaxBatchPackets);
  return unseen.size();
}

}  // namespace engine
