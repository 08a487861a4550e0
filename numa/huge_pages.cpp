// Plain MAP_HUGETLB promises the pages at mmap(), but not their node, and not against a limit of the control group:
// both show when they are touched, as pages of another node or as SIGBUS. So they are all touched here, by a call that
// reports instead (MADV_POPULATE_WRITE), and asked for their node.
#include "numa/huge_pages.h"

#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <fstream>
#include <system_error>
#include <vector>

namespace numa {
namespace {

// As many nodes as any kernel is built for (NODES_SHIFT is at most 10).
constexpr unsigned max_nodes = 1024;
constexpr unsigned bits_per_word = sizeof(unsigned long) * CHAR_BIT;

std::string folder_of(unsigned node) {
  return "/sys/devices/system/node/node" + std::to_string(node) + "/hugepages/hugepages-2048kB/";
}
// Of all nodes together; what a kernel without NUMA has.
const std::string global_folder = "/sys/kernel/mm/hugepages/hugepages-2048kB/";

std::optional<std::size_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::size_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

std::string pages(std::size_t n) { return std::to_string(n) + (n == 1 ? " page" : " pages"); }

// How many of the memory's huge pages lie elsewhere; 0 where the kernel does not tell.
std::size_t pages_elsewhere(std::byte* memory, std::size_t size_bytes, unsigned node) {
  std::vector<void*> addresses;
  for (std::size_t at = 0; at < size_bytes; at += huge_page_bytes) addresses.push_back(memory + at);
  std::vector<int> nodes(addresses.size(), static_cast<int>(node));
  // Without nodes to move to it only tells where they are.
  if (::syscall(SYS_move_pages, 0, addresses.size(), addresses.data(), nullptr, nodes.data(), 0) != 0) return 0;
  return static_cast<std::size_t>(
      std::ranges::count_if(nodes, [node](int found) { return found >= 0 && found != static_cast<int>(node); }));
}

}  // namespace

std::optional<HugePages> huge_pages_of(unsigned node) {
  const auto all = read_number(folder_of(node) + "nr_hugepages");
  const auto here = read_number(folder_of(node) + "free_hugepages");
  const auto free = read_number(global_folder + "free_hugepages");
  const auto promised = read_number(global_folder + "resv_hugepages");
  if (!free || !promised) return std::nullopt;
  // Promises are made for all nodes together.
  const std::size_t unpromised = *free > *promised ? *free - *promised : 0;
  if (!all || !here) return HugePages{read_number(global_folder + "nr_hugepages").value_or(0), unpromised};
  return HugePages{*all, std::min(*here, unpromised)};
}

std::string reserve_command(unsigned node, std::size_t bytes) {
  const std::size_t wanted = (bytes + huge_page_bytes - 1) / huge_page_bytes;
  const HugePages there = huge_pages_of(node).value_or(HugePages{});
  const std::size_t missing = wanted > there.free ? wanted - there.free : 0;
  const std::string file = folder_of(node) + "nr_hugepages";
  return "echo " + std::to_string(there.all + missing) + " > " +
         (read_number(file) ? file : global_folder + "nr_hugepages");
}

HugeMapping map_huge_pages(void* place, std::size_t size_bytes, unsigned node) {
  const std::size_t wanted = size_bytes / huge_page_bytes;
  const std::optional<HugePages> there = huge_pages_of(node);
  if (!there) return {nullptr, "this kernel has no pages of 2 MiB"};
  if (there->free < wanted)
    return {nullptr, "node " + std::to_string(node) + " has " + pages(there->free) + " of 2 MiB free and " +
                         std::to_string(wanted) + (wanted == 1 ? " is" : " are") + " needed"};

  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB | (place != nullptr ? MAP_FIXED : 0);
  void* mapped = ::mmap(place, size_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapped == MAP_FAILED) return {nullptr, std::generic_category().message(errno)};
  HugeMapping made{static_cast<std::byte*>(mapped), {}};
  // See NodeMemory::allocate for what may fail here and not matter.
  prefer_node(mapped, size_bytes, node);
  if (::madvise(mapped, size_bytes, MADV_POPULATE_WRITE) != 0) {
    made.refusal = errno == EINVAL ? "this kernel can't tell whether they are really there (Linux 5.14)"
                                   : "they can't be had: " + std::generic_category().message(errno);
  } else if (const std::size_t elsewhere = pages_elsewhere(made.data, size_bytes, node); elsewhere != 0) {
    made.refusal = pages(elsewhere) + " came from another node than " + std::to_string(node);
  }
  if (made.refusal.empty()) return made;
  // What was at `place` before is the caller's to restore: addresses that are only reserved.
  if (place != nullptr)
    ::mmap(place, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  else
    ::munmap(mapped, size_bytes);
  made.data = nullptr;
  return made;
}

// The system call itself and not hwloc's membind, which would keep a loaded topology in memory for one call.
int prefer_node(void* memory, std::size_t size_bytes, unsigned node) noexcept {
  if (node >= max_nodes) return EINVAL;
  std::array<unsigned long, max_nodes / bits_per_word> mask{};
  mask[node / bits_per_word] |= 1UL << (node % bits_per_word);
  const long result = ::syscall(SYS_mbind, memory, size_bytes, MPOL_PREFERRED, mask.data(), max_nodes + 1UL, 0U);
  return result == 0 ? 0 : errno;
}

}  // namespace numa
