// The allocator of one Lua state: malloc with a cap that holds for new and for grown blocks.
//
// Belongs to one state and so to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace plugins {

class CappedAllocator {
 public:
  explicit CappedAllocator(std::size_t cap_bytes) noexcept : cap_bytes_(cap_bytes) {}

  std::size_t used_bytes() const noexcept { return used_bytes_; }
  std::size_t peak_bytes() const noexcept { return peak_bytes_; }

  // lua_Alloc (Lua 5.1 manual, section 3.7): never fails to shrink, returns null beyond the cap.
  static void* allocate(void* self, void* block, std::size_t old_bytes, std::size_t new_bytes) noexcept {
    return static_cast<CappedAllocator*>(self)->resize(block, old_bytes, new_bytes);
  }

 private:
  void* resize(void* block, std::size_t old_bytes, std::size_t new_bytes) noexcept {
    if (block == nullptr) old_bytes = 0;
    if (new_bytes == 0) {
      std::free(block);
      used_bytes_ -= old_bytes;
      return nullptr;
    }
    if (new_bytes > old_bytes && new_bytes - old_bytes > cap_bytes_ - used_bytes_) return nullptr;
    void* grown = std::realloc(block, new_bytes);
    // Lua takes it for granted that shrinking works; the old block is large enough.
    if (grown == nullptr) return new_bytes <= old_bytes ? block : nullptr;
    used_bytes_ += new_bytes - old_bytes;
    if (used_bytes_ > peak_bytes_) peak_bytes_ = used_bytes_;
    return grown;
  }

  std::size_t cap_bytes_;
  std::size_t used_bytes_ = 0;
  std::size_t peak_bytes_ = 0;
};

}  // namespace plugins
