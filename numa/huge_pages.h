// Pages of 2 MiB: how many a node has, how to get more, and memory made of them. Main thread, set-up only.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace numa {

inline constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

struct HugePages {
  std::size_t all = 0;
  std::size_t free = 0;  // and not promised to anybody
};

// Nothing where the kernel has none of this size.
std::optional<HugePages> huge_pages_of(unsigned node);

// What an operator types to have `bytes` in free huge pages on the node.
std::string reserve_command(unsigned node, std::size_t bytes);

// Anonymous memory in huge pages of this node, all of them there. `size_bytes` is a multiple of the page; `place`, if
// not null, is an address of ours to put it (MAP_FIXED).
struct HugeMapping {
  std::byte* data = nullptr;
  std::string refusal;  // where there is no memory: why
};
HugeMapping map_huge_pages(void* place, std::size_t size_bytes, unsigned node);

// Asks the kernel to take the memory's pages from this node if it can. Returns 0 or the errno.
int prefer_node(void* memory, std::size_t size_bytes, unsigned node) noexcept;

}  // namespace numa
