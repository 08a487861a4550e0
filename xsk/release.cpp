#include "xsk/release.h"

#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>

#include "xsk/uapi.h"

namespace xsk {
namespace {

constexpr long pause_ns = 1'000'000;

struct Unmap {
  std::size_t bytes;
  void operator()(void* memory) const noexcept { ::munmap(memory, bytes); }
};

// The least that the kernel binds: one frame, rings of one entry (net/xdp/xsk.c: xsk_validate_queues).
bool set_up(int fd, void* memory, std::size_t bytes) noexcept {
  xdp_umem_reg area{};
  area.addr = reinterpret_cast<std::uintptr_t>(memory);
  area.len = bytes;
  area.chunk_size = static_cast<std::uint32_t>(bytes);
  const int one = 1;
  const auto set = [fd](int option, const void* value, std::size_t size) {
    return ::setsockopt(fd, SOL_XDP, option, value, static_cast<socklen_t>(size)) == 0;
  };
  return set(XDP_UMEM_REG, &area, sizeof area) && set(XDP_UMEM_FILL_RING, &one, sizeof one) &&
         set(XDP_UMEM_COMPLETION_RING, &one, sizeof one) && set(XDP_RX_RING, &one, sizeof one);
}

}  // namespace

bool await_release(engine::UniqueFd probe, unsigned ifindex, QueueId queue,
                   std::chrono::milliseconds timeout) noexcept {
  const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return false;
  const std::unique_ptr<void, Unmap> memory(mapped, Unmap{bytes});
  if (!set_up(probe.get(), mapped, bytes)) return false;

  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_COPY;  // the driver is not asked for anything
  address.sxdp_ifindex = ifindex;
  address.sxdp_queue_id = queue.value();
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  while (::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno != EBUSY || std::chrono::steady_clock::now() >= give_up) return false;
    const timespec pause{0, pause_ns};
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

}  // namespace xsk
