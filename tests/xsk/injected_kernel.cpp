#include "tests/xsk/injected_kernel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "xsk/uapi.h"

namespace xsk::test {
namespace {

InjectedKernel* kernel = nullptr;

// Where the injected kernel's rings have their parts.
constexpr std::uint64_t producer_at = 0, consumer_at = 64, flags_at = 128, entries_at = 192;

int answer(int error) noexcept {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

}  // namespace

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
extern "C" {
int __real_socket(int domain, int type, int protocol);
int __real_setsockopt(int fd, int level, int option, const void* value, socklen_t length);
int __real_getsockopt(int fd, int level, int option, void* value, socklen_t* length);
int __real_bind(int fd, const sockaddr* address, socklen_t length);
void* __real_mmap64(void* at, std::size_t length, int protection, int flags, int fd, off_t offset);

int __wrap_socket(int domain, int type, int protocol) {
  return kernel != nullptr && domain == AF_XDP ? kernel->socket() : __real_socket(domain, type, protocol);
}
int __wrap_setsockopt(int fd, int level, int option, const void* value, socklen_t length) {
  if (kernel == nullptr || !kernel->owns(fd)) return __real_setsockopt(fd, level, option, value, length);
  return kernel->set_option(fd, option, value);
}
int __wrap_getsockopt(int fd, int level, int option, void* value, socklen_t* length) {
  if (kernel == nullptr || !kernel->owns(fd)) return __real_getsockopt(fd, level, option, value, length);
  return kernel->get_option(fd, option, value, length);
}
int __wrap_bind(int fd, const sockaddr* address, socklen_t length) {
  if (kernel == nullptr || !kernel->owns(fd)) return __real_bind(fd, address, length);
  return kernel->bind(fd, *reinterpret_cast<const sockaddr_xdp*>(address));
}
void* __wrap_mmap64(void* at, std::size_t length, int protection, int flags, int fd, off_t offset) {
  if (kernel == nullptr || !kernel->owns(fd)) return __real_mmap64(at, length, protection, flags, fd, offset);
  return kernel->map(fd, length, offset);
}
}
// NOLINTEND(bugprone-reserved-identifier)

InjectedKernel::InjectedKernel() { kernel = this; }
InjectedKernel::~InjectedKernel() { kernel = nullptr; }

std::vector<std::uint16_t> InjectedKernel::flags() const {
  std::vector<std::uint16_t> flags;
  for (const Bind& bind : binds_) flags.push_back(bind.flags);
  return flags;
}

std::size_t InjectedKernel::open_sockets() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(sockets_, [](const auto& socket) { return ::fcntl(socket.first, F_GETFD) >= 0; }));
}

std::size_t InjectedKernel::umems() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(sockets_, [](const auto& socket) { return socket.second.has_umem; }));
}

int InjectedKernel::socket() {
  if (socket_error != 0) return answer(socket_error);
  const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  sockets_[fd] = {};  // perhaps the number of one that was closed
  return fd;
}

int InjectedKernel::set_option(int fd, int option, const void*) {
  const auto error = option_errors.find(option);
  if (error != option_errors.end()) return answer(error->second);
  if (option == XDP_UMEM_REG) sockets_[fd].has_umem = true;
  return 0;
}

int InjectedKernel::get_option(int fd, int option, void* value, socklen_t* length) {
  const auto error = option_errors.find(option);
  if (error != option_errors.end()) return answer(error->second);
  if (option == XDP_MMAP_OFFSETS) {
    const xdp_ring_offset one{producer_at, consumer_at, entries_at, flags_at};
    const xdp_mmap_offsets all{one, one, one, one};
    std::memcpy(value, &all, std::min(*length, mmap_offsets_bytes));
    *length = mmap_offsets_bytes;
  } else if (option == XDP_OPTIONS) {
    const xdp_options options{sockets_[fd].zero_copy ? static_cast<__u32>(XDP_OPTIONS_ZEROCOPY) : 0U};
    std::memcpy(value, &options, sizeof options);
  }
  return 0;
}

void* InjectedKernel::map(int fd, std::size_t length, off_t offset) {
  if (mmap_error != 0) {
    errno = mmap_error;
    return MAP_FAILED;
  }
  void* ring = __real_mmap64(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (offset == static_cast<off_t>(XDP_UMEM_PGOFF_FILL_RING))
    sockets_[fd].fill_producer = static_cast<std::uint32_t*>(ring) + producer_at / sizeof(std::uint32_t);
  return ring;
}

int InjectedKernel::bind(int fd, const sockaddr_xdp& address) {
  SocketState& socket = sockets_[fd];
  const bool joins = (address.sxdp_flags & XDP_SHARED_UMEM) != 0;
  binds_.push_back({address.sxdp_queue_id, address.sxdp_flags,
                    joins ? static_cast<int>(address.sxdp_shared_umem_fd) : -1, *socket.fill_producer,
                    socket.has_umem});
  const int error = bind_error(binds_.back());
  if (error != 0) return answer(error);
  socket.zero_copy = joins ? sockets_[static_cast<int>(address.sxdp_shared_umem_fd)].zero_copy
                           : (address.sxdp_flags & XDP_ZEROCOPY) != 0;
  return 0;
}

}  // namespace xsk::test
