// Memory of the flow tables: reserved as that of the other structures (plugins/pages.h), but it can grow, and with huge
// pages where the kernel has them: a million flows are 200 MB, and with pages of 4 KiB every lookup would miss in
// the TLB as well as in the cache.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>

#include "plugins/pages.h"

namespace plugins {

class FlowMemory {
 public:
  FlowMemory() = default;
  explicit FlowMemory(std::size_t size_bytes) : size_bytes_(size_bytes) {
    if (size_bytes == 0) return;
    memory_ = reserve_pages(size_bytes, MADV_HUGEPAGE);
  }
  FlowMemory(FlowMemory&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  FlowMemory& operator=(FlowMemory&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
  }
  ~FlowMemory() {
    if (size_bytes_ != 0) munmap(memory_, size_bytes_);
  }

  void* data() const noexcept { return memory_; }
  std::size_t size_bytes() const noexcept { return size_bytes_; }

  // Keeps the content; may move it.
  void grow(std::size_t size_bytes) {
    if (size_bytes <= size_bytes_) return;
    if (size_bytes_ == 0) {
      *this = FlowMemory(size_bytes);
      return;
    }
    void* moved = mremap(memory_, size_bytes_, size_bytes, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) throw std::bad_alloc();
    memory_ = moved;
    size_bytes_ = size_bytes;
  }

  // See touch_pages.
  void touch(std::size_t first_bytes) noexcept { touch_pages(memory_, std::min(first_bytes, size_bytes_)); }

  // Gives back what lies behind the first bytes; it reads as zero from then on.
  void forget_behind(std::size_t kept_bytes) noexcept {
    if (kept_bytes >= size_bytes_) return;
    madvise(static_cast<std::byte*>(memory_) + kept_bytes, size_bytes_ - kept_bytes, MADV_DONTNEED);
  }

 private:
  void* memory_ = nullptr;
  std::size_t size_bytes_ = 0;
};

}  // namespace plugins
