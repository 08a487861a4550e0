// The peers of the established TCP connections in this network namespace (main thread, set-up).
#pragma once

#include <array>
#include <cstdint>
#include <istream>
#include <vector>

namespace engine::cli {

struct TcpPeer {
  int family = 0;                        // AF_INET also for IPv4 peers of IPv6 sockets
  std::array<std::uint8_t, 16> local{};  // network byte order, IPv4 in the first four bytes
  std::array<std::uint8_t, 16> remote{};
  unsigned bound_link = 0;  // the socket is bound to this link; always so for link-local peers

  friend auto operator<=>(const TcpPeer&, const TcpPeer&) = default;
};

// Each peer once. By sock_diag; by /proc/net/tcp and tcp6 where the kernel lacks it.
std::vector<TcpPeer> established_tcp_peers();

// The lines of /proc/net/tcp (AF_INET) or tcp6 (AF_INET6) that are established, appended.
void read_proc_tcp(std::istream& file, int family, std::vector<TcpPeer>& peers);

}  // namespace engine::cli
