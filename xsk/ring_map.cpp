#include "xsk/ring_map.h"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "xsk/uapi.h"

namespace xsk {
namespace {

struct RingShape {
  int option;         // setsockopt that creates it
  off_t page_offset;  // where mmap finds it
  std::size_t entry_bytes;
  xdp_ring_offset xdp_mmap_offsets::*offsets;
};

RingShape shape_of(RingKind kind) noexcept {
  switch (kind) {
    case RingKind::rx:
      return {XDP_RX_RING, XDP_PGOFF_RX_RING, sizeof(xdp_desc), &xdp_mmap_offsets::rx};
    case RingKind::tx:
      return {XDP_TX_RING, XDP_PGOFF_TX_RING, sizeof(xdp_desc), &xdp_mmap_offsets::tx};
    case RingKind::fill:
      return {XDP_UMEM_FILL_RING, XDP_UMEM_PGOFF_FILL_RING, sizeof(std::uint64_t), &xdp_mmap_offsets::fr};
    case RingKind::completion:
      break;
  }
  return {XDP_UMEM_COMPLETION_RING, XDP_UMEM_PGOFF_COMPLETION_RING, sizeof(std::uint64_t), &xdp_mmap_offsets::cr};
}

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

RingMap::RingMap(int socket_fd, RingKind kind, std::uint32_t entries) {
  const RingShape shape = shape_of(kind);
  if (::setsockopt(socket_fd, SOL_XDP, shape.option, &entries, sizeof entries) != 0) fail("create ring");

  xdp_mmap_offsets all{};
  socklen_t length = sizeof all;
  if (::getsockopt(socket_fd, SOL_XDP, XDP_MMAP_OFFSETS, &all, &length) != 0) fail("find ring");
  // Before 5.4 the kernel had no flags word and answered with a shorter struct (commit 77cd0d7b3f25); reading that as
  // ours would put every ring in the wrong place.
  if (length != sizeof all) {
    errno = EOPNOTSUPP;
    fail("find ring");
  }

  const xdp_ring_offset& at = all.*shape.offsets;
  mapping_bytes_ = at.desc + entries * shape.entry_bytes;
  void* mapped =
      ::mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket_fd, shape.page_offset);
  if (mapped == MAP_FAILED) fail("map ring");
  mapping_ = mapped;

  auto* base = static_cast<std::byte*>(mapped);
  auto word = [base](std::uint64_t offset) { return reinterpret_cast<std::uint32_t*>(base + offset); };
  memory_ = {word(at.producer), word(at.consumer), word(at.flags), base + at.desc, entries};
}

RingMap::RingMap(RingMap&& other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_bytes_(std::exchange(other.mapping_bytes_, 0)),
      memory_(std::exchange(other.memory_, {})) {}

RingMap& RingMap::operator=(RingMap&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_bytes_, other.mapping_bytes_);
  std::swap(memory_, other.memory_);
  return *this;
}

RingMap::~RingMap() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_bytes_);
}

}  // namespace xsk
