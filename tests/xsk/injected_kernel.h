// AF_XDP's system calls answered by the test: socket, setsockopt, getsockopt, bind and mmap of the code under test lead
// here (the linker's --wrap, see meson.build), so that any kernel, driver and error can be had. No root.
//
// One kernel at a time, a member of the test's fixture; without one the calls go to the real kernel.
#pragma once

#include <linux/if_xdp.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace xsk::test {

class InjectedKernel {
 public:
  InjectedKernel();
  InjectedKernel(const InjectedKernel&) = delete;
  InjectedKernel& operator=(const InjectedKernel&) = delete;
  ~InjectedKernel();

  // One bind() of the code under test.
  struct Bind {
    std::uint32_t queue;
    std::uint16_t flags;
    int shared_fd;
    std::uint32_t frames_in_fill_ring;  // at that moment
    bool has_umem;                      // registered by this very socket
  };

  // What the kernel answers: 0 or an errno. Each test sets what it is about.
  int socket_error = 0;
  std::map<int, int> option_errors;  // by SOL_XDP option
  int mmap_error = 0;
  socklen_t mmap_offsets_bytes = sizeof(xdp_mmap_offsets);                     // 5.3 and older: shorter
  std::function<int(const Bind&)> bind_error = [](const Bind&) { return 0; };  // asked at each bind

  const std::vector<Bind>& binds() const noexcept { return binds_; }
  std::vector<std::uint16_t> flags() const;  // of all binds
  std::size_t open_sockets() const;
  std::size_t umems() const;  // registered

  // For the wrapped calls.
  static InjectedKernel* current() noexcept;
  bool owns(int fd) const noexcept { return sockets_.count(fd) != 0; }
  int socket();
  int set_option(int fd, int option, const void* value);
  int get_option(int fd, int option, void* value, socklen_t* length);
  int bind(int fd, const sockaddr_xdp& address);
  void* map(int fd, std::size_t length, off_t offset);

 private:
  struct SocketState {
    std::uint32_t* fill_producer = nullptr;
    bool has_umem = false;
    bool zero_copy = false;
  };
  std::map<int, SocketState> sockets_;
  std::vector<Bind> binds_;
};

}  // namespace xsk::test
