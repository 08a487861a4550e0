// Names for the numbers that must not be mixed up, and the geometry of a UMEM area cut into frames.
//
// A UMEM is one memory area registered with the kernel and cut into frames ("chunks") of 2048 or 4096 bytes. The four
// rings exchange frames as byte offsets into it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/error.h"

namespace xsk {

// A byte offset into a UMEM, as it stands in ring entries.
class FrameAddress {
 public:
  constexpr FrameAddress() noexcept = default;
  constexpr explicit FrameAddress(std::uint64_t offset_bytes) noexcept : offset_bytes_(offset_bytes) {}
  constexpr std::uint64_t offset_bytes() const noexcept { return offset_bytes_; }
  friend constexpr bool operator==(FrameAddress, FrameAddress) noexcept = default;

 private:
  std::uint64_t offset_bytes_ = 0;
};
static_assert(sizeof(FrameAddress) == sizeof(std::uint64_t), "entries of the fill and completion rings are u64");

// A receive queue of a NIC.
class QueueId {
 public:
  constexpr explicit QueueId(std::uint32_t value) noexcept : value_(value) {}
  constexpr std::uint32_t value() const noexcept { return value_; }
  friend constexpr auto operator<=>(QueueId, QueueId) noexcept = default;

 private:
  std::uint32_t value_;
};

// Some of a UMEM's frames, by number.
struct FrameRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;  // 0: all from `first` on
};

// How a UMEM is cut, and which of its frames are meant: several queues may share one, each with frames of its own. The
// kernel takes power-of-two chunks from 2048 bytes to one page (xdp_umem_reg in net/xdp/xdp_umem.c).
class FrameLayout {
 public:
  FrameLayout(std::size_t umem_bytes, std::uint32_t chunk_bytes, FrameRange range = {})
      : chunk_bytes_(chunk_bytes), in_chunk_mask_(std::uint64_t{chunk_bytes} - 1) {
    if (!std::has_single_bit(chunk_bytes) || umem_bytes == 0 || umem_bytes % chunk_bytes != 0)
      throw engine::SetupError(engine::ExitCode::runtime_failure, "cut packet memory into frames",
                               "its size must be a multiple of the frame size, and that a power of two");
    const std::uint64_t all = umem_bytes / chunk_bytes;
    if (range.first >= all || range.count > all - range.first)
      throw engine::SetupError(engine::ExitCode::runtime_failure, "cut packet memory into frames",
                               "it has " + std::to_string(all) + " frames, fewer than are asked for");
    first_bytes_ = std::uint64_t{range.first} * chunk_bytes;
    bytes_ = (range.count != 0 ? range.count : all - range.first) * chunk_bytes;
  }

  std::uint32_t chunk_bytes() const noexcept { return chunk_bytes_; }
  std::uint32_t frames() const noexcept { return static_cast<std::uint32_t>(bytes_ / chunk_bytes_); }
  // Number i of these frames, from 0.
  FrameAddress frame(std::uint32_t i) const noexcept {
    return FrameAddress(first_bytes_ + std::uint64_t{i} * chunk_bytes_);
  }

  // The start of the frame that an address points into: the kernel adds headroom to addresses in the RX ring, and the
  // fill ring takes frames back by any address inside, but equal frames should look equal.
  FrameAddress base(FrameAddress address) const noexcept {
    return FrameAddress(address.offset_bytes() & ~in_chunk_mask_);
  }
  // The number of the frame that an address of these frames points into.
  std::uint32_t index(FrameAddress address) const noexcept {
    return static_cast<std::uint32_t>((address.offset_bytes() - first_bytes_) >> std::countr_zero(chunk_bytes_));
  }
  // Lies this range inside one of these frames? An address before the first wraps around and is far behind the last.
  bool holds(FrameAddress address, std::uint32_t length_bytes) const noexcept {
    return address.offset_bytes() - first_bytes_ < bytes_ &&
           length_bytes <= chunk_bytes_ - (address.offset_bytes() & in_chunk_mask_);
  }

 private:
  std::uint64_t first_bytes_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint32_t chunk_bytes_;
  std::uint64_t in_chunk_mask_;
};

}  // namespace xsk
