// Which interfaces are protected: decided over invented networks, and read from real ones in namespaces of our own.
#include "engine/cli/protect.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <sstream>

#include "engine/base/unique_fd.h"
#include "engine/cli/privileges.h"
#include "engine/cli/tcp_peers.h"
#include "tests/cli/support.h"

namespace {

using namespace engine::cli;
using cli_test::in_child;
using cli_test::refusal_of;
using engine::UniqueFd;

constexpr const char* free_of_duties = "free";

std::string protection(std::string_view interface) { return why_protected(interface).value_or(free_of_duties); }

HostLink link(unsigned index, std::string name, unsigned master = 0, unsigned parent = 0) {
  return {index, std::move(name), master, parent, false};
}

TEST(Protect, WhatLiesBelowIsProtectedAndWhatLiesBesideIsNot) {
  const HostNetwork network{{link(1, "eth0", 10), link(2, "eth1", 10), link(3, "eth2"), link(10, "bond0"),
                             link(11, "bond0.7", 0, 10), link(12, "br0"), link(13, "vnet0", 12), link(14, "mv0", 0, 3)},
                            {{11, "carries the IPv4 default route"}}};
  EXPECT_EQ(why_protected(network, "bond0.7"), "carries the IPv4 default route");
  EXPECT_EQ(why_protected(network, "bond0"), "lies below bond0.7, which carries the IPv4 default route");
  EXPECT_EQ(why_protected(network, "eth0"), "lies below bond0.7, which carries the IPv4 default route");
  EXPECT_EQ(why_protected(network, "eth1"), "lies below bond0.7, which carries the IPv4 default route");
  for (const char* free : {"eth2", "br0", "vnet0", "mv0", "absent"})
    EXPECT_EQ(why_protected(network, free), std::nullopt) << free;
}

TEST(Protect, ALoopOfLinksEnds) {
  const HostNetwork network{{link(1, "a", 2), link(2, "b", 1), link(3, "c", 0, 1)}, {}};
  EXPECT_EQ(why_protected(network, "a"), std::nullopt);
}

TEST(Protect, LoopbackCarriesNothingOfOthers) {
  const HostNetwork network{{{1, "lo", 0, 0, true}}, {{1, "carries an established TCP connection with 127.0.0.1"}}};
  EXPECT_EQ(why_protected(network, "lo"), std::nullopt);
}

TEST(TcpPeers, AreReadFromProcToo) {
  std::istringstream tcp(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
      "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
      "   1: 0100000A:0016 0200000A:D431 01 00000000:00000000 02:000A7214 00000000     0        0 2 2\n"
      "garbage\n");
  std::istringstream tcp6(
      "  sl  local_address                         remote_address                        st\n"
      "   0: 0000000000000000FFFF00000100000A:0016 0000000000000000FFFF00000300000A:D431 01\n"
      "   1: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:D431 01\n");
  std::vector<TcpPeer> peers;
  read_proc_tcp(tcp, AF_INET, peers);
  read_proc_tcp(tcp6, AF_INET6, peers);
  std::string text;
  for (const TcpPeer& peer : peers) {
    char address[INET6_ADDRSTRLEN];
    text += std::string(inet_ntop(peer.family, peer.remote.data(), address, sizeof address)) + " ";
  }
  EXPECT_EQ(text, "10.0.0.2 10.0.0.3 2001:db8::2 ");
}

// --- real kernels, as root ---

bool run(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

UniqueFd new_namespace() {
  if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error("unshare failed");
  return UniqueFd(open("/proc/self/ns/net", O_RDONLY));
}

// A namespace of our own ("here", the current one) with v0, whose peer v1 is in another one.
struct TwoNamespaces {
  TwoNamespaces() : there(new_namespace()), here(new_namespace()) {
    const std::string other = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(there.get());
    must("ip link add v0 type veth peer name v1 netns " + other);
    must(
        "ip addr add 10.9.0.1/24 dev v0 && ip addr add fd09::1/64 dev v0 nodad && ip link set v0 up && ip link set lo "
        "up");
    setns(there.get(), CLONE_NEWNET);
    must(
        "ip addr add 10.9.0.2/24 dev v1 && ip addr add fd09::2/64 dev v1 nodad && ip link set v1 up && ip link set lo "
        "up");
    setns(here.get(), CLONE_NEWNET);
  }
  static void must(const std::string& command) {
    if (!run(command)) throw std::runtime_error(command);
  }
  UniqueFd there;
  UniqueFd here;
};

#define SKIP_WITHOUT_ROOT()                                       \
  if (!missing_capabilities().required.empty() || geteuid() != 0) \
  GTEST_SKIP() << "needs root: CAP_NET_ADMIN, CAP_SYS_ADMIN"

// v0's protection after `commands`.
std::string protection_after(const std::string& commands, const char* interface = "v0") {
  return in_child([&] {
    const TwoNamespaces namespaces;
    if (!commands.empty() && !run(commands)) return std::string("cannot: ") + commands;
    return protection(interface);
  });
}

TEST(ProtectLive, AnInterfaceWithoutDutiesIsFree) {
  SKIP_WITHOUT_ROOT();
  EXPECT_EQ(protection_after(""), free_of_duties);
  EXPECT_EQ(protection_after("ip route add 192.0.2.0/24 via 10.9.0.2"), free_of_duties);
  EXPECT_EQ(protection_after("ip route add unreachable default"), free_of_duties);
}

TEST(ProtectLive, DefaultRoutesProtectInEveryTableAndForm) {
  SKIP_WITHOUT_ROOT();
  const std::string v4 = "carries the IPv4 default route";
  EXPECT_EQ(protection_after("ip route add default via 10.9.0.2"), v4);
  EXPECT_EQ(protection_after("ip route add default dev v0 table 77"), v4);
  EXPECT_EQ(protection_after("ip route add 0.0.0.0/1 dev v0 && ip route add 128.0.0.0/1 dev v0"), v4);
  EXPECT_EQ(protection_after("ip -6 route add default via fd09::2"), "carries the IPv6 default route");
  EXPECT_EQ(protection_after("ip link add d0 type veth peer name d1 && ip addr add 10.8.0.1/24 dev d0 && ip link set "
                             "d0 up && ip link set d1 up && "
                             "ip route add default nexthop via 10.8.0.2 dev d0 nexthop via 10.9.0.2 dev v0"),
            v4);
}

TEST(ProtectLive, NexthopObjectsAreFollowed) {
  SKIP_WITHOUT_ROOT();
  const std::string object = "ip nexthop add id 5 via 10.9.0.2 dev v0";
  if (protection_after(object).starts_with("cannot")) GTEST_SKIP() << "needs a kernel with nexthop objects";
  EXPECT_EQ(protection_after(object + " && ip route add default nhid 5"), "carries the IPv4 default route");
  EXPECT_EQ(protection_after("echo 0 > /proc/sys/net/ipv4/nexthop_compat_mode; " + object +
                             " && ip nexthop add id 9 group 5 && ip route add default nhid 9"),
            "carries the IPv4 default route");
}

TEST(ProtectLive, WhatLiesBelowACarrierIsProtected) {
  SKIP_WITHOUT_ROOT();
  EXPECT_EQ(protection_after(
                "ip link add mv0 link v0 type macvlan && ip link set mv0 up && ip addr add 10.7.0.1/24 dev mv0 && "
                "ip route add default via 10.7.0.2 dev mv0"),
            "lies below mv0, which carries the IPv4 default route");
  const std::string bridge =
      "ip link add br0 type bridge && ip link set v0 master br0 && ip link set br0 up && "
      "ip addr add 10.7.0.1/24 dev br0 && ip route add default via 10.7.0.2";
  const std::string answer = protection_after(bridge);
  if (answer.starts_with("cannot")) GTEST_SKIP() << "needs a kernel with bridges";
  EXPECT_EQ(answer, "lies below br0, which carries the IPv4 default route");
}

TEST(ProtectLive, AVethIsNotBelowItsPeer) {
  SKIP_WITHOUT_ROOT();
  const std::string pair =
      "ip link add d0 type veth peer name d1 && ip link set d0 up && ip link set d1 up && ip route add default dev d0";
  EXPECT_EQ(protection_after(pair, "d0"), "carries the IPv4 default route");
  EXPECT_EQ(protection_after(pair, "d1"), free_of_duties);
}

// A connection from here to a listener there; both ends stay open in `sockets`.
void connect_across(const TwoNamespaces& ns, const sockaddr* to, socklen_t size, std::vector<UniqueFd>& sockets) {
  setns(ns.there.get(), CLONE_NEWNET);
  UniqueFd listener(socket(to->sa_family, SOCK_STREAM, 0));
  const int on = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool listening = bind(listener.get(), to, size) == 0 && listen(listener.get(), 1) == 0;
  setns(ns.here.get(), CLONE_NEWNET);
  UniqueFd client(socket(to->sa_family, SOCK_STREAM, 0));
  const timeval limit{5, 0};
  setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (!listening || connect(client.get(), to, size) != 0) throw std::runtime_error("no connection");
  sockets.push_back(std::move(listener));
  sockets.push_back(std::move(client));
}

TEST(ProtectLive, AnEstablishedConnectionProtectsTheWayToItsPeer) {
  SKIP_WITHOUT_ROOT();
  EXPECT_EQ(in_child([] {
              const TwoNamespaces ns;
              std::vector<UniqueFd> sockets;
              sockaddr_in to{};
              to.sin_family = AF_INET;
              to.sin_port = htons(7777);
              inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
              connect_across(ns, reinterpret_cast<sockaddr*>(&to), sizeof to, sockets);
              std::string answer = protection("v0");
              sockets.clear();
              return answer;
            }),
            "carries an established TCP connection with 10.9.0.2");
}

TEST(ProtectLive, AnIpv6ConnectionDoesSoToo) {
  SKIP_WITHOUT_ROOT();
  EXPECT_EQ(in_child([] {
              const TwoNamespaces ns;
              std::vector<UniqueFd> sockets;
              sockaddr_in6 to{};
              to.sin6_family = AF_INET6;
              to.sin6_port = htons(7777);
              inet_pton(AF_INET6, "fd09::2", &to.sin6_addr);
              connect_across(ns, reinterpret_cast<sockaddr*>(&to), sizeof to, sockets);
              return protection("v0");
            }),
            "carries an established TCP connection with fd09::2");
}

TEST(ProtectLive, AConnectionOverLoopbackProtectsNothing) {
  SKIP_WITHOUT_ROOT();
  EXPECT_EQ(in_child([] {
              const TwoNamespaces ns;
              UniqueFd listener(socket(AF_INET, SOCK_STREAM, 0));
              UniqueFd client(socket(AF_INET, SOCK_STREAM, 0));
              sockaddr_in to{};
              to.sin_family = AF_INET;
              to.sin_port = htons(7777);
              inet_pton(AF_INET, "10.9.0.1", &to.sin_addr);  // v0's own address: reached by lo
              const auto* address = reinterpret_cast<const sockaddr*>(&to);
              if (bind(listener.get(), address, sizeof to) != 0 || listen(listener.get(), 1) != 0 ||
                  connect(client.get(), address, sizeof to) != 0) {
                return std::string("no connection");
              }
              return protection("v0") + " " + protection("lo");
            }),
            "free free");
}

TEST(Protect, ConsentIsAFilterOrTakeAll) {
  Settings settings;
  settings.interfaces = {{"v0", {}}};
  EXPECT_FALSE(has_consent(settings));
  settings.filter = "udp";
  EXPECT_TRUE(has_consent(settings));
  settings.filter.clear();
  settings.take_all = true;
  EXPECT_TRUE(has_consent(settings));
}

}  // namespace
