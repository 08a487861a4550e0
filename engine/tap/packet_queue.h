// The receiving half of an AF_PACKET socket: frames out of the blocks of a TPACKET_V3 ring, the counterpart of
// xsk::RxQueue.
//
// Used by one thread, the worker it belongs to; refers to ring memory owned by others (PacketSocket, or a test) and
// must be destroyed before it. A PacketBatch refers to its queue, which therefore does not move. Frames are read where
// the kernel put them. A block goes back to the kernel when all its frames have been lent and the last batch of them is
// gone.
//
// The tag of a VLAN frame, which the kernel took out on the frame's way here, is put back: to plugins, filters and
// files the frame is what was on the wire, as it is with AF_XDP.
#pragma once

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace engine {

class PacketQueue;

// One received frame. A plain value, meaningful while its batch lives.
struct TappedFrame {
  std::uint64_t time_ns = 0;  // since 1970: when the kernel received (or sent) it
  std::uint32_t offset = 0;   // bytes from the start of the ring
  std::uint32_t caplen = 0;
  std::uint32_t len = 0;  // on the wire; more than caplen if a block could not hold the frame
  bool outgoing = false;  // sent by this machine
};

// Frames lent by receive(), in the order of arrival.
class [[nodiscard]] PacketBatch {
 public:
  PacketBatch(PacketBatch&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)), frames_(std::exchange(other.frames_, {})) {}
  PacketBatch& operator=(PacketBatch&&) = delete;
  PacketBatch(const PacketBatch&) = delete;
  PacketBatch& operator=(const PacketBatch&) = delete;
  inline ~PacketBatch();

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(frames_.size()); }
  bool empty() const noexcept { return frames_.empty(); }

  // Not on a temporary: its frames might be back with the kernel before they are read.
  const TappedFrame& operator[](std::uint32_t i) const& noexcept { return frames_[i]; }
  const TappedFrame& operator[](std::uint32_t i) const&& = delete;

 private:
  friend class PacketQueue;
  PacketBatch(PacketQueue* queue, std::span<const TappedFrame> frames) noexcept : queue_(queue), frames_(frames) {}

  PacketQueue* queue_;
  std::span<const TappedFrame> frames_;
};

class PacketQueue {
 public:
  static constexpr std::uint32_t kMaxBatch = 256;
  // What the socket must reserve in front of each frame (PACKET_RESERVE): room for a tag. Behind the address, so that
  // this is not overwritten (tpacket_rcv in net/packet/af_packet.c: netoff).
  static constexpr std::uint32_t kHeadroom_bytes = 4;

  PacketQueue(std::span<std::byte> ring, std::uint32_t block_bytes) noexcept
      : ring_(ring), block_bytes_(block_bytes), blocks_(static_cast<std::uint32_t>(ring.size() / block_bytes)) {}
  PacketQueue(const PacketQueue&) = delete;
  PacketQueue& operator=(const PacketQueue&) = delete;

  // Up to `max` frames (at most kMaxBatch) of one block; empty if none has been handed over. One batch at a time.
  inline PacketBatch receive(std::uint32_t max) noexcept;

  // Any thread: has the kernel put frames into a block that it has not handed over yet? Then more is to come without
  // any frame arriving.
  inline bool has_open_block() const noexcept;

  // Any thread: what the kernel wrote into the headers of the blocks that it has handed over and that came their turn.
  std::uint64_t rx_packets() const noexcept { return rx_packets_.load(std::memory_order_relaxed); }

 private:
  friend class PacketBatch;
  tpacket_block_desc& block(std::uint32_t index) const noexcept {
    return *reinterpret_cast<tpacket_block_desc*>(ring_.data() + std::size_t{index} * block_bytes_);
  }
  static std::atomic_ref<std::uint32_t> status_of(tpacket_block_desc& block) noexcept {
    return std::atomic_ref(block.hdr.bh1.block_status);
  }
  inline bool take_block() noexcept;
  inline void give_back() noexcept;
  inline TappedFrame frame_at(std::byte* at) noexcept;
  inline void put_tag_back(const tpacket3_hdr& header, TappedFrame& frame) noexcept;

  std::span<std::byte> ring_;
  std::uint32_t block_bytes_;
  std::uint32_t blocks_;
  std::uint32_t current_ = 0;  // the block that is read or comes next
  bool taken_ = false;         // it is ours
  std::uint32_t left_ = 0;     // of its frames, not lent yet
  std::byte* next_ = nullptr;  // the first of them
  bool lent_ = false;
  std::atomic<std::uint64_t> rx_packets_{0};  // one writer, the worker
  std::array<TappedFrame, kMaxBatch> frames_;
};

inline PacketBatch::~PacketBatch() {
  if (queue_ == nullptr || frames_.empty()) return;
  queue_->lent_ = false;
  if (queue_->left_ == 0) queue_->give_back();
}

inline PacketBatch PacketQueue::receive(std::uint32_t max) noexcept {
  assert(!lent_);
  if (!taken_ && !take_block()) return {nullptr, {}};
  const std::uint32_t count = std::min({max, left_, kMaxBatch});
  std::byte* at = next_;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t step = reinterpret_cast<const tpacket3_hdr*>(at)->tp_next_offset;
    frames_[i] = frame_at(at);
    at += step;  // 0 behind the block's last frame
  }
  next_ = at;
  left_ -= count;
  lent_ = true;
  return {this, std::span(frames_).first(count)};
}

// Acquire: the kernel wrote the block before it wrote the status (prb_close_block: smp_wmb, then the status).
inline bool PacketQueue::take_block() noexcept {
  for (;;) {
    tpacket_block_desc& candidate = block(current_);
    if ((status_of(candidate).load(std::memory_order_acquire) & TP_STATUS_USER) == 0) return false;
    const tpacket_hdr_v1& header = candidate.hdr.bh1;
    taken_ = true;
    left_ = header.num_pkts;
    rx_packets_.store(rx_packets_.load(std::memory_order_relaxed) + left_, std::memory_order_relaxed);
    next_ = reinterpret_cast<std::byte*>(&candidate) + header.offset_to_first_pkt;
    if (left_ != 0) return true;
    give_back();  // kernels before 3.18 handed over empty blocks
  }
}

// Release: the kernel must not write before we have read.
inline void PacketQueue::give_back() noexcept {
  tpacket_block_desc& done = block(current_);
  // For has_open_block(); prb_open_block() does the same when the block's turn comes.
  std::atomic_ref(done.hdr.bh1.num_pkts).store(0, std::memory_order_relaxed);
  status_of(done).store(TP_STATUS_KERNEL, std::memory_order_release);
  taken_ = false;
  current_ = current_ + 1 == blocks_ ? 0 : current_ + 1;
}

inline TappedFrame PacketQueue::frame_at(std::byte* at) noexcept {
  const auto& header = *reinterpret_cast<const tpacket3_hdr*>(at);
  const auto& address = *reinterpret_cast<const sockaddr_ll*>(at + TPACKET_ALIGN(sizeof header));
  TappedFrame frame{.time_ns = std::uint64_t{header.tp_sec} * 1'000'000'000 + header.tp_nsec,
                    .offset = static_cast<std::uint32_t>(at - ring_.data()) + header.tp_mac,
                    .caplen = header.tp_snaplen,
                    .len = header.tp_len,
                    .outgoing = address.sll_pkttype == PACKET_OUTGOING};
  if ((header.tp_status & TP_STATUS_VLAN_VALID) != 0) put_tag_back(header, frame);
  return frame;
}

// The outermost tag stands behind the two addresses (IEEE 802.1Q, 9.6). Of two tags the kernel took the outer one.
inline void PacketQueue::put_tag_back(const tpacket3_hdr& header, TappedFrame& frame) noexcept {
  constexpr std::uint32_t addresses_bytes = 2 * ETH_ALEN;
  if (frame.caplen < addresses_bytes) return;
  const std::uint16_t type =
      (header.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? header.hv1.tp_vlan_tpid : std::uint16_t{ETH_P_8021Q};
  const std::uint16_t tag[2] = {htons(type), htons(static_cast<std::uint16_t>(header.hv1.tp_vlan_tci))};
  std::byte* const start = ring_.data() + frame.offset - sizeof tag;
  std::memmove(start, start + sizeof tag, addresses_bytes);
  std::memcpy(start + addresses_bytes, tag, sizeof tag);
  frame.offset -= sizeof tag;
  frame.caplen += sizeof tag;
  frame.len += sizeof tag;
}

inline bool PacketQueue::has_open_block() const noexcept {
  for (std::uint32_t i = 0; i < blocks_; ++i) {
    tpacket_block_desc& candidate = block(i);
    if (status_of(candidate).load(std::memory_order_acquire) == TP_STATUS_KERNEL &&
        std::atomic_ref(candidate.hdr.bh1.num_pkts).load(std::memory_order_relaxed) != 0)
      return true;
  }
  return false;
}

}  // namespace engine
