// The transmit loop over AF_XDP sockets, and what belongs to one of them.
#include "engine/gen/tx.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/gen/interrupts.h"
#include "numa/memory.h"
#include "xsk/sizes.h"
#include "xsk/socket.h"

namespace engine::gen {
namespace {

constexpr std::uint32_t frames_per_queue = 1024;
constexpr std::uint64_t stuck_ns = 1'000'000'000;
// Packets that fall due within a slice are sent together: short enough that a burst fits the rings it meets, long
// enough that sleeping pays.
constexpr std::uint64_t slice_ns = 100'000;
constexpr std::uint64_t look_ns = 1'000'000;  // between two looks for a signal

std::uint32_t chunk_bytes(std::size_t longest_bytes) { return longest_bytes <= 2048 ? 2048 : 4096; }

xsk::SocketConfig socket_config(const xsk::Link& link, std::uint32_t queue, std::span<std::byte> umem,
                                std::uint32_t chunk, xsk::RequestedMode mode) {
  xsk::SocketConfig config;
  config.interface_name = link.name;
  config.ifindex = link.ifindex;
  config.queue = xsk::QueueId(queue);
  config.umem = umem;
  config.chunk_bytes = chunk;
  config.tx_entries = frames_per_queue;
  config.tx_frames = frames_per_queue;
  config.mode = mode;
  return config;
}

}  // namespace

// One queue's socket with its memory, and the batch that is being filled.
class TxLane {
 public:
  TxLane(const xsk::Link& link, std::uint32_t queue, std::uint32_t chunk, const TxTuning& tuning)
      : queue_(queue),
        batch_packets_(tuning.batch),
        memory_(std::size_t{frames_per_queue} * chunk, 0, numa::NodeMemory::Populate::now),
        socket_(xsk::Socket::open(socket_config(link, queue, memory_.bytes(), chunk, tuning.mode))) {}

  // The next frame's memory; empty where the kernel still has all frames.
  std::span<std::byte> buffer() noexcept {
    if (!batch_) batch_.emplace(socket_.tx_queue().reserve(batch_packets_));
    return batch_->buffer();
  }
  void push(std::uint32_t length) noexcept {
    batch_->push(length);
    bytes_ += length;
    if (batch_->room() == 0) flush();
  }
  // Submits what was pushed and lets the kernel send it. 0, or the errno for which it could not.
  int flush() noexcept {
    if (batch_) {
      socket_.tx_queue().submit(std::move(*batch_));
      batch_.reset();
    }
    int error = 0;
    for (int tries = 0; tries < 4 && socket_.tx_queue().in_flight() > 0; ++tries) {
      error = socket_.wake_tx();
      socket_.tx_queue().drain_completions();
      // The kernel's share of a call was used up, or the device dropped a packet (xsk_generic_xmit): call again.
      if (error != EAGAIN && error != EBUSY) break;
    }
    return error == EAGAIN || error == EBUSY ? 0 : error;
  }

  std::uint32_t queue() const noexcept { return queue_; }
  xsk::ObtainedMode mode() const noexcept { return socket_.mode(); }
  std::uint64_t bytes() const noexcept { return bytes_; }
  xsk::TxQueue& ring() noexcept { return socket_.tx_queue(); }

 private:
  // Destroyed in reverse order: the batch, then the socket, then the memory it sends from.
  std::uint32_t queue_;
  std::uint32_t batch_packets_;
  std::uint64_t bytes_ = 0;
  numa::NodeMemory memory_;
  xsk::Socket socket_;
  std::optional<xsk::TxBatch> batch_;
};

TxSender::TxSender(const xsk::Link& link, const std::vector<std::uint32_t>& queues, Traffic& traffic,
                   const Replay* replay, std::uint64_t loops, const TxTuning& tuning)
    : interface_name_(link.name),
      traffic_(traffic),
      replay_(replay),
      replay_left_(replay == nullptr || loops == 0 ? UINT64_MAX : replay->frames.size() * loops),
      flow_keeps_queue_(replay != nullptr || traffic.flows().flows() >= queues.size()),
      batch_(tuning.batch) {
  const std::uint32_t chunk = chunk_bytes(replay ? replay->longest_bytes : traffic.longest_bytes());
  xsk::raise_memlock_limit();
  for (std::uint32_t queue : queues) lanes_.push_back(std::make_unique<TxLane>(link, queue, chunk, tuning));
}

TxSender::~TxSender() = default;

TxLane& TxSender::lane_of(std::uint32_t flow, std::uint64_t number) noexcept {
  return *lanes_[flow_keeps_queue_ ? flow % lanes_.size() : number / batch_ % lanes_.size()];
}

// Waits until a frame is free. False if the kernel takes no packets for a second, or says that it cannot.
bool TxSender::make_room(TxLane& lane) noexcept {
  if (!lane.buffer().empty()) return true;
  const std::uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
  for (;;) {
    const int error = lane.flush();
    if (!lane.buffer().empty()) return true;
    if (error == 0 && clock_ns(CLOCK_MONOTONIC) - start_ns < stuck_ns) continue;
    failure_ = "send on queue " + std::to_string(lane.queue()) + " of " + interface_name_ + ": " +
               (error != 0 ? std::strerror(error) : "no packet was taken for a second");
    return false;
  }
}

std::uint64_t TxSender::send(std::uint64_t max) noexcept {
  const std::uint64_t count = std::min<std::uint64_t>(max, GEN_STAMP_BATCH * lanes_.size());
  const std::uint64_t sent = replay_ != nullptr ? send_replay(count) : send_traffic(count);
  for (auto& lane : lanes_) {
    if (const int error = lane->flush(); error != 0 && failure_.empty())
      failure_ =
          "send on queue " + std::to_string(lane->queue()) + " of " + interface_name_ + ": " + std::strerror(error);
  }
  handed_over_ += sent;
  return sent;
}

std::uint64_t TxSender::send_traffic(std::uint64_t count) noexcept {
  std::uint64_t stamp_ns = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i % GEN_STAMP_BATCH == 0) stamp_ns = clock_ns(CLOCK_REALTIME);
    Packet packet = traffic_.next();
    TxLane& lane = lane_of(packet.variation.flow, handed_over_ + i);
    if (!make_room(lane)) return i;
    packet.write(stamp_ns, lane.buffer().data());
    lane.push(static_cast<std::uint32_t>(packet.size_bytes()));
    kinds_[static_cast<std::size_t>(packet.kind())] += {1, packet.size_bytes()};
    stamped_ += packet.frame->stamped();
  }
  return count;
}

std::uint64_t TxSender::send_replay(std::uint64_t count) noexcept {
  count = std::min(count, replay_left_);
  for (std::uint64_t i = 0; i < count; ++i) {
    const Replay::Frame& frame = replay_->frames[replay_next_];
    TxLane& lane = lane_of(frame.flow_hash, handed_over_ + i);
    if (!make_room(lane)) return i;
    const std::span<const std::byte> bytes = replay_->bytes(frame);
    std::memcpy(lane.buffer().data(), bytes.data(), bytes.size());
    lane.push(frame.length);
    replayed_ += {1, frame.length};
    if (++replay_next_ == replay_->frames.size()) replay_next_ = 0;
    --replay_left_;
  }
  return count;
}

std::string TxSender::failure() const { return failure_; }

void TxSender::finish() noexcept {
  const std::uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
  for (auto& lane : lanes_) {
    while (lane->ring().in_flight() > 0 && clock_ns(CLOCK_MONOTONIC) - start_ns < stuck_ns) {
      if (lane->flush() != 0) break;
    }
  }
}

void TxSender::run(const Load& load, Interrupts& interrupts, Report& report) {
  const std::uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
  const Pacer pacer(load, start_ns);
  std::uint64_t now_ns = start_ns, last_look_ns = start_ns, last_sent_ns = start_ns;
  while (!pacer.over(now_ns, handed_over_) && failure_.empty() && replay_left_ > 0) {
    if (const std::uint64_t due = pacer.due(now_ns, handed_over_); due > 0) {
      send(due);
      last_sent_ns = clock_ns(CLOCK_MONOTONIC);
    }
    now_ns = clock_ns(CLOCK_MONOTONIC);
    std::uint64_t wait_ns = 0;
    if (pacer.due(now_ns, handed_over_) == 0) {
      const std::uint64_t next_ns = pacer.time_of(handed_over_);
      wait_ns = next_ns > now_ns ? next_ns - now_ns : 0;
      if (handed_over_ < pacer.limit()) wait_ns = std::max(wait_ns, slice_ns);
      if (now_ns < pacer.deadline_ns()) wait_ns = std::min(wait_ns, pacer.deadline_ns() - now_ns);
    }
    if (wait_ns == 0 && now_ns - last_look_ns < look_ns) continue;
    if ((report.interrupted = interrupts.arrived(wait_ns))) break;
    last_look_ns = now_ns = clock_ns(CLOCK_MONOTONIC);
  }
  finish();
  report.method = "tx";
  report.mode = xsk::to_string(lanes_.front()->mode());
  report.seconds = run_seconds(pacer, start_ns, last_sent_ns, handed_over_);
  for (const auto& lane : lanes_) {
    const Sent sent{lane->ring().completed(), lane->bytes()};
    report.queues.emplace_back(lane->queue(), sent);
    report.total += sent;
    report.unfinished += lane->ring().in_flight();
  }
  report.stamped += stamped_;
  report.replayed += replayed_;
  for (std::size_t i = 0; i < kind_count; ++i) report.kinds[i] += kinds_[i];
}

}  // namespace engine::gen
