// Packet memory on a chosen node, and threads on a chosen core.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "numa/range.h"

namespace numa {

// --hugepages: pages of 2 MiB where the node has enough of them free, or else none; or without a choice.
enum class Pages { automatic, huge, normal };

// Anonymous zeroed memory that the kernel places on one node. Owns the mapping; move-only. Page-aligned.
class NodeMemory {
 public:
  enum class Populate { on_first_touch, now };

  // Throws engine::SetupError. Where the machine has one node, or its kernel no NUMA, the binding is nothing to do. A
  // node out of memory falls back to others (MPOL_PREFERRED): slower packets are better than none.
  // Memory in huge pages is populated in any case, and all on its node: pages of another are given back.
  NodeMemory(std::size_t size_bytes, unsigned node, Populate populate, Pages pages = Pages::normal);
  NodeMemory(AddressPart place, std::size_t size_bytes, unsigned node, Populate populate, Pages pages = Pages::normal);
  NodeMemory() noexcept = default;
  NodeMemory(NodeMemory&& other) noexcept;
  NodeMemory& operator=(NodeMemory&& other) noexcept;
  ~NodeMemory();

  std::span<std::byte> bytes() const noexcept { return {data_, size_bytes_}; }  // rounded up to whole pages
  unsigned node() const noexcept { return node_; }
  std::size_t page_bytes() const noexcept { return page_bytes_; }
  // Why huge pages were wanted and not had; see reserve_command().
  const std::string& why_normal_pages() const noexcept { return why_normal_pages_; }

 private:
  void allocate(std::size_t size_bytes, void* place, Populate populate, Pages pages);
  bool try_huge(std::size_t size_bytes, void* place);

  AddressPart place_;  // empty: wherever the kernel put it
  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
  std::size_t page_bytes_ = 0;
  std::string why_normal_pages_;
  unsigned node_ = 0;
};

// Binds the calling thread to one core. Throws engine::SetupError.
void pin_this_thread(unsigned cpu);

// Keeps the calling thread, and those it starts, off these cores, if that leaves any.
void keep_this_thread_off(std::span<const unsigned> cpus) noexcept;

}  // namespace numa
