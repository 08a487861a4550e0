// A socket whose received frames another one sends (or itself), without a copy: both are of one UMEM, and a descriptor
// moves from the RX ring of the first to the TX ring of the second.
//
// ForwardQueue is used by one thread. It refers to ring memory and a UMEM owned by others (Socket, or a test) and must
// be destroyed before them. A queue's frames are sent by one other at a time, so that one completion ring has them.
//
// A frame is in exactly one place: in the fill ring, with the kernel, in the RX ring, or away: in the other's TX ring,
// with the kernel, in the other's completion ring. `away_` knows which are, so that a completion which names a wrong
// frame, or one frame twice, is counted instead of believed. The fill ring has two entries a frame, for the reason in
// rx_queue.h, so that it always has room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "xsk/frame.h"
#include "xsk/ring.h"
#include "xsk/uapi.h"

namespace xsk {

class ForwardQueue {
 public:
  // What became of the packets of one look at the RX ring.
  struct Moved {
    std::uint32_t packets = 0;    // that were there
    std::uint32_t forwarded = 0;  // of these, now in the other's TX ring; the others were dropped
  };

  // Puts these frames of `umem` into the fill ring, which must have at least twice as many entries. The completion ring
  // must have an entry for each frame that is sent through it.
  ForwardQueue(const RingMemory& rx, const RingMemory& fill, const RingMemory& tx, const RingMemory& completion,
               std::span<std::byte> umem, std::uint32_t chunk_bytes, FrameRange frames = {})
      : rx_(rx),
        fill_(fill),
        tx_(tx),
        completion_(completion),
        layout_(umem.size(), chunk_bytes, frames),
        umem_(umem),
        away_(layout_.frames(), 0) {
    if (fill.size / 2 < layout_.frames())
      throw engine::SetupError(engine::ExitCode::runtime_failure, "set up a forwarding queue",
                               "the fill ring must have two entries for each frame");
    auto slots = fill_.reserve(layout_.frames());
    for (std::uint32_t i = 0; i < layout_.frames(); ++i) slots.push(layout_.frame(i).offset_bytes());
    fill_.submit(std::move(slots));
  }
  ForwardQueue(const ForwardQueue&) = delete;
  ForwardQueue& operator=(const ForwardQueue&) = delete;

  // Moves up to `max` packets to `out`'s TX ring, each after edit(its bytes). Where that is full the rest is dropped:
  // its frames go back to the fill ring, as a switch whose output is taken drops.
  template <typename Edit>
  Moved move_to(ForwardQueue& out, std::uint32_t max, Edit edit) noexcept;

  // Takes back the frames of this queue that `out` has sent; returns how many. Call it often: frames that are away
  // receive nothing.
  std::uint32_t reclaim_from(ForwardQueue& out) noexcept;

  bool needs_rx_wakeup() const noexcept { return fill_.needs_wakeup(); }
  bool needs_tx_wakeup() const noexcept { return tx_.needs_wakeup(); }

  std::uint64_t rx_packets() noexcept { return rx_.produced_total(); }  // by the kernel's own index, taken or not
  std::uint64_t forwarded() const noexcept { return forwarded_; }
  std::uint64_t dropped() const noexcept { return dropped_; }  // the other's TX ring was full
  // Descriptors outside this queue's frames, or of packets in several frames; they are not forwarded and not given
  // back.
  std::uint64_t bad_packets() const noexcept { return bad_packets_; }
  std::uint64_t completed() const noexcept { return completed_; }
  std::uint64_t in_flight() const noexcept { return forwarded_ - completed_; }
  std::uint64_t bad_completions() const noexcept { return bad_completions_; }
  const FrameLayout& layout() const noexcept { return layout_; }

 private:
  ConsumerRing<xdp_desc> rx_;
  ProducerRing<std::uint64_t> fill_;
  ProducerRing<xdp_desc> tx_;
  ConsumerRing<std::uint64_t> completion_;
  FrameLayout layout_;
  std::span<std::byte> umem_;
  std::vector<std::uint8_t> away_;  // by frame
  std::uint64_t forwarded_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t bad_packets_ = 0;
  std::uint64_t completed_ = 0;
  std::uint64_t bad_completions_ = 0;
};

template <typename Edit>
ForwardQueue::Moved ForwardQueue::move_to(ForwardQueue& out, std::uint32_t max, Edit edit) noexcept {
  const Entries<xdp_desc> seen = rx_.peek(max);
  if (seen.size() == 0) return {};
  auto sent = out.tx_.reserve(seen.size());
  auto back = fill_.reserve(seen.size());
  for (std::uint32_t i = 0; i < seen.size(); ++i) {
    const xdp_desc packet = seen[i];
    const FrameAddress address(packet.addr);
    if (!layout_.holds(address, packet.len) || (packet.options & XDP_PKT_CONTD) != 0) [[unlikely]] {
      ++bad_packets_;
      continue;
    }
    if (sent.room() == 0) {
      back.push(layout_.base(address).offset_bytes());
      continue;
    }
    edit(umem_.subspan(packet.addr, packet.len));
    away_[layout_.index(address)] = 1;
    sent.push({packet.addr, packet.len, 0});
  }
  const Moved moved{seen.size(), sent.written()};
  forwarded_ += sent.written();
  dropped_ += back.written();
  out.tx_.submit(std::move(sent));
  fill_.submit(std::move(back));
  rx_.release(seen.size());
  return moved;
}

inline std::uint32_t ForwardQueue::reclaim_from(ForwardQueue& out) noexcept {
  const Entries<std::uint64_t> done = out.completion_.peek(out.completion_.size());
  if (done.size() == 0) return 0;
  auto back = fill_.reserve(done.size());
  for (std::uint32_t i = 0; i < done.size(); ++i) {
    const FrameAddress address(done[i]);
    if (!layout_.holds(address, 0) || away_[layout_.index(address)] == 0) [[unlikely]] {
      ++bad_completions_;
      continue;
    }
    away_[layout_.index(address)] = 0;
    back.push(layout_.base(address).offset_bytes());
  }
  const std::uint32_t returned = fill_.submit(std::move(back));
  completed_ += returned;
  out.completion_.release(done.size());
  return returned;
}

}  // namespace xsk
