// The receiving half's slow path: packets of several frames, and what is wrong.
#include "xsk/rx_queue.h"

#include <algorithm>
#include <cstring>

namespace xsk {

std::uint32_t RxBatch::gather(std::uint32_t i, std::span<std::byte> into) const noexcept {
  const Entries<xdp_desc> ring = queue_->rx_.peek(frames_);
  const std::uint32_t first = in_single_frames() ? i : queue_->starts_[i];
  const std::uint32_t end = in_single_frames() ? i + 1 : queue_->starts_[i + 1];
  std::size_t copied = 0;
  for (std::uint32_t at = first; at < end; ++at) {
    const std::size_t bytes = std::min<std::size_t>(ring[at].len, into.size() - copied);
    if (bytes != 0) std::memcpy(into.data() + copied, queue_->umem_.data() + ring[at].addr, bytes);
    copied += bytes;
  }
  return static_cast<std::uint32_t>(copied);
}

RxQueue::Extent RxQueue::extent_at(const Entries<xdp_desc>& seen, std::uint32_t first) const noexcept {
  Extent extent{first, 0, false, true};
  while (extent.end < seen.size() && !extent.whole) {
    const xdp_desc& descriptor = seen[extent.end++];
    extent.bytes += descriptor.len;
    extent.good &= layout_.holds(FrameAddress(descriptor.addr), descriptor.len);
    extent.whole = (descriptor.options & XDP_PKT_CONTD) == 0;
  }
  return extent;
}

// A batch is one run of the ring, so it ends before a bad packet; the next call meets that one first.
RxBatch RxQueue::receive_mixed(std::uint32_t max) noexcept {
  const std::uint32_t wanted = std::min(max, max_mixed_packets);
  for (;;) {
    const Entries<xdp_desc> seen = rx_.peek(rx_.size());
    std::uint32_t packets = 0;
    std::uint32_t end = 0;
    Extent next = extent_at(seen, 0);
    while (packets < wanted && next.whole && next.good) {
      mixed_[packets] = {seen[end].addr, next.bytes, next.end - end > 1 ? XDP_PKT_CONTD : 0U};
      starts_[packets++] = end;
      end = next.end;
      next = extent_at(seen, end);
    }
    if (packets != 0) {
      starts_[packets] = end;
      continuations_ += end - packets;
      lent_ = true;
      return {this, Entries<xdp_desc>(mixed_.data(), packets), end};
    }
    if (seen.size() == 0) return {nullptr, {}};
    if (!next.whole) {
      rx_.produced_total();  // looks for its end
      if (rx_.peek(rx_.size()).size() != seen.size()) continue;
      if (seen.size() < rx_.size()) return {nullptr, {}};
      // The ring is full of it, so its end can't come.
    }
    retire(next.end);
  }
}

// One packet, the next in the ring, whose frames are lost.
void RxQueue::retire(std::uint32_t entries) noexcept {
  ++bad_packets_;
  continuations_ += entries - 1;
  rx_.release(entries);
}

}  // namespace xsk
