// The allocator of one Lua state: malloc with a cap that holds for new and for grown blocks.
//
// Running Lua code is never told that there is no memory: LuaJIT 2.1 of 2022 handles that error with a stale stack when
// it comes from machine code (lj_err_mem in lj_err.c), and crashes. Where a way out is armed, the allocator leaves by
// it; the state is in the middle of something then and can't be used any more, not even closed.
//
// Belongs to one state and so to one thread at a time.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdlib>
#include <utility>

namespace plugins {

class CappedAllocator {
 public:
  explicit CappedAllocator(std::size_t cap_bytes) noexcept : cap_bytes_(cap_bytes) {}

  std::size_t used_bytes() const noexcept { return used_bytes_; }
  std::size_t peak_bytes() const noexcept { return peak_bytes_; }

  // Where to go when there is no more memory; nullptr: allocate() returns null. Taking the way disarms it.
  void arm(std::jmp_buf* way_out) noexcept { way_out_ = way_out; }

  // lua_Alloc (Lua 5.1 manual, section 3.7): never fails to shrink, returns null beyond the cap if no way out is armed.
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
    if (new_bytes > old_bytes && new_bytes - old_bytes > cap_bytes_ - used_bytes_) return refuse();
    void* grown = std::realloc(block, new_bytes);
    // Lua takes it for granted that shrinking works; the old block is large enough.
    if (grown == nullptr) return new_bytes <= old_bytes ? block : refuse();
    used_bytes_ += new_bytes - old_bytes;
    if (used_bytes_ > peak_bytes_) peak_bytes_ = used_bytes_;
    return grown;
  }

  void* refuse() noexcept {
    if (std::jmp_buf* way_out = std::exchange(way_out_, nullptr)) _longjmp(*way_out, 1);
    return nullptr;
  }

  std::size_t cap_bytes_;
  std::size_t used_bytes_ = 0;
  std::size_t peak_bytes_ = 0;
  std::jmp_buf* way_out_ = nullptr;
};

}  // namespace plugins
