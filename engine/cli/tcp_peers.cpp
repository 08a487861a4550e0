#include "engine/cli/tcp_peers.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "engine/base/error.h"
#include "engine/cli/netlink.h"

namespace engine::cli {
namespace {

bool is_mapped(const std::array<std::uint8_t, 16>& address) {
  constexpr std::uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(address.data(), prefix, sizeof prefix) == 0;
}

void unmap(std::array<std::uint8_t, 16>& address) {
  std::copy_n(address.begin() + 12, 4, address.begin());
  std::fill(address.begin() + 4, address.end(), std::uint8_t{0});
}

// A dual-stack socket's IPv4 peer is reached by IPv4 routes.
TcpPeer normalized(TcpPeer peer) {
  if (peer.family == AF_INET6 && is_mapped(peer.remote)) {
    peer.family = AF_INET;
    unmap(peer.local);
    unmap(peer.remote);
  }
  return peer;
}

bool ask_sock_diag(std::vector<TcpPeer>& peers) {
  Netlink diag(NETLINK_SOCK_DIAG);
  for (const int family : {AF_INET, AF_INET6}) {
    const auto fill = [&](nlmsghdr* header) {
      auto* const request =
          static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(header, sizeof(inet_diag_req_v2)));
      request->sdiag_family = static_cast<__u8>(family);
      request->sdiag_protocol = IPPROTO_TCP;
      request->idiag_states = 1u << TCP_ESTABLISHED;
    };
    const auto each = [&](const nlmsghdr* header) {
      const auto* const socket = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(header));
      if (mnl_nlmsg_get_payload_len(header) < sizeof *socket) return;
      TcpPeer peer{.family = family, .bound_link = socket->id.idiag_if};
      std::memcpy(peer.local.data(), socket->id.idiag_src, family == AF_INET ? 4 : 16);
      std::memcpy(peer.remote.data(), socket->id.idiag_dst, family == AF_INET ? 4 : 16);
      peers.push_back(normalized(peer));
    };
    if (diag.ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, fill, each) != 0) return false;
  }
  return true;
}

// "0100007F:1F90": 32-bit groups, each printed as this host's number (net/ipv4/tcp_ipv4.c: get_tcp4_sock).
bool parse_proc_address(const std::string& text, std::array<std::uint8_t, 16>& address) {
  const std::size_t digits = text.find(':');
  if (digits != 8 && digits != 32) return false;
  for (std::size_t group = 0; group < digits / 8; ++group) {
    const auto number = static_cast<std::uint32_t>(std::stoul(text.substr(group * 8, 8), nullptr, 16));
    std::memcpy(address.data() + group * 4, &number, 4);
  }
  return true;
}

}  // namespace

void read_proc_tcp(std::istream& file, int family, std::vector<TcpPeer>& peers) {
  std::string line;
  std::getline(file, line);  // the heading
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string slot, local, remote, state;
    fields >> slot >> local >> remote >> state;
    TcpPeer peer{.family = family};
    const bool parsed = parse_proc_address(local, peer.local) && parse_proc_address(remote, peer.remote);
    if (parsed && state == "01") peers.push_back(normalized(peer));
  }
}

std::vector<TcpPeer> established_tcp_peers() {
  std::vector<TcpPeer> peers;
  bool known = false;
  try {
    known = ask_sock_diag(peers);
  } catch (const SetupError&) {
    // No sock_diag in this kernel: /proc has the same without it.
  }
  if (!known) {
    peers.clear();
    std::ifstream tcp("/proc/net/tcp");
    if (!tcp) {
      throw SetupError(ExitCode::machine_cannot, "list established TCP connections",
                       "neither sock_diag nor /proc/net/tcp", "mount /proc");
    }
    read_proc_tcp(tcp, AF_INET, peers);
    std::ifstream tcp6("/proc/net/tcp6");  // absent without IPv6
    read_proc_tcp(tcp6, AF_INET6, peers);
  }
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  return peers;
}

}  // namespace engine::cli
