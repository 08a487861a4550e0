// Memory that is reserved at once but touched only as far as it is used, on the node of the thread that uses it first.
//
// Anonymous pages, not the heap: they read as zero without having been cleared (the heap's calloc clears blocks that it
// has had before), and small ones, since the first touch of a huge page would cost 2 MiB.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <memory>
#include <new>

namespace plugins {

// What a plugin's structures may reserve: a plugin that fills all it has declared must not take the machine's memory.
inline std::size_t half_of_memory_bytes() noexcept {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) / 2 * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// While one lives, what this thread reserves is taken from `left_bytes`.
class Reserving {
 public:
  explicit Reserving(std::size_t& left_bytes) noexcept { left_ = &left_bytes; }
  ~Reserving() { left_ = nullptr; }
  Reserving(const Reserving&) = delete;
  Reserving& operator=(const Reserving&) = delete;

  // Throws std::bad_alloc.
  static void take(std::size_t size_bytes) {
    if (left_ == nullptr) return;
    if (size_bytes > *left_) throw std::bad_alloc();
    *left_ -= size_bytes;
  }

 private:
  inline static constinit thread_local std::size_t* left_ = nullptr;
};

struct Unmap {
  std::size_t size_bytes = 0;
  void operator()(void* memory) const noexcept { munmap(memory, size_bytes); }
};

// Makes them resident, on the node of this thread, where the first packets would pay for it: a huge page takes a tenth
// of a millisecond to be cleared, and many times that where the host has yet to find the memory of a virtual machine.
// If it fails they pay.
inline void touch_pages(void* memory, std::size_t size_bytes) noexcept {
  if (size_bytes > 0) madvise(memory, size_bytes, MADV_POPULATE_WRITE);
}

template <typename T>
using Pages = std::unique_ptr<T[], Unmap>;

// Zeroed; `advice`: MADV_HUGEPAGE or MADV_NOHUGEPAGE. Throws std::bad_alloc.
inline void* reserve_pages(std::size_t size_bytes, int advice) {
  Reserving::take(size_bytes);
  void* memory = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  madvise(memory, size_bytes, advice);  // a kernel without huge pages refuses: then there are small ones only
  return memory;
}

template <typename T>
Pages<T> allocate_pages(std::size_t count) {
  const std::size_t size_bytes = count * sizeof(T);
  return Pages<T>(static_cast<T*>(reserve_pages(size_bytes, MADV_NOHUGEPAGE)), Unmap{size_bytes});
}

}  // namespace plugins
