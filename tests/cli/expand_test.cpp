// What is captured for a bond, a VLAN device and an alternative name: decided over networks as the kernel lists them,
// since most test machines can make neither.
#include "engine/cli/expand.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <array>

#include "engine/cli/protect.h"
#include "tests/cli/support.h"

namespace {

using namespace engine::cli;
using cli_test::refusal_of;
using engine::ExitCode;

HostLink device(unsigned index, std::string name, unsigned master = 0) {
  return {index, std::move(name), master, 0, false, "", 0, {}};
}
HostLink bond(unsigned index, std::string name, std::string kind = "bond") {
  return {index, std::move(name), 0, 0, false, std::move(kind), 0, {}};
}
HostLink vlan(unsigned index, std::string name, unsigned parent, std::uint16_t id) {
  return {index, std::move(name), 0, parent, false, "vlan", id, {}};
}

// As a server has them: two ports in a bond, a VLAN on it and on a port of its own, an empty team, a bridge.
HostNetwork server() {
  HostNetwork network;
  network.links = {device(2, "enp1s0f0", 5), device(3, "enp1s0f1", 5), device(4, "enp2s0"),    bond(5, "bond0"),
                   vlan(6, "bond0.7", 5, 7), vlan(7, "lan", 4, 4094),  bond(8, "t0", "team"),  bond(9, "br0", "bridge"),
                   device(10, "vnet0", 9),   vlan(11, "far", 0, 3),    vlan(12, "lan.5", 7, 5)};
  network.links[2].alternative_names = {"enxaabbccddeeff", "pci:2"};
  return network;
}

std::string expanded(std::vector<InterfaceSetting> named, bool tap = false) {
  std::string text;
  for (const CapturedDevice& it : expand(server(), named, tap))
    text += interface_text(it.device) + (it.note.empty() ? "" : " (" + it.note + ")") + "\n";
  return text;
}

std::string refused(std::vector<InterfaceSetting> named, ExitCode code) {
  const auto refusal = refusal_of([&] { expanded(named); });
  EXPECT_EQ(refusal.code, code);
  return refusal.line;
}

TEST(Expand, ABondIsItsMembers) {
  EXPECT_EQ(expanded({{"bond0", {}}}), "enp1s0f0 (member of bond0)\nenp1s0f1 (member of bond0)\n");
  EXPECT_EQ(expanded({{"bond0", {0, 1}}}), "enp1s0f0:0-1 (member of bond0)\nenp1s0f1:0-1 (member of bond0)\n");
  EXPECT_EQ(refused({{"t0", {}}}, ExitCode::machine_cannot),
            "interface t0: is a team without members, and receives nothing itself; add one: ip link set DEVICE master "
            "t0");
}

TEST(Expand, AVlanDeviceIsItsParent) {
  EXPECT_EQ(expanded({{"lan", {}}}),
            "enp2s0 (carries lan (VLAN 4094), and its other traffic is captured too; --filter 'vlan 4094' takes this "
            "one)\n");
  EXPECT_EQ(expanded({{"bond0.7", {}}}).find("enp1s0f0 (carries bond0.7 (VLAN 7)"), 0u);
  EXPECT_NE(expanded({{"bond0.7", {}}}).find("; member of bond0)\nenp1s0f1 ("), std::string::npos);
  EXPECT_EQ(expanded({{"lan.5", {}}}).find("enp2s0 (carries lan.5 (VLAN 5)"), 0u);
  EXPECT_EQ(expanded({{"far", {}}}), "far\n") << "its parent is in another namespace";
}

TEST(Expand, OthersStayWhatTheyAre) {
  EXPECT_EQ(expanded({{"br0", {}}, {"enp1s0f0", {}}, {"absent", {3}}}), "br0\nenp1s0f0\nabsent:3\n");
  EXPECT_EQ(expanded({{"pci:2", {1}}}), "enp2s0:1\n");
}

TEST(Expand, ATapTakesAnyDevice) { EXPECT_EQ(expanded({{"bond0", {}}, {"lan", {}}}, true), "bond0\nlan\n"); }

TEST(Expand, ADeviceNamedTwiceIsRefusedUnlessItsQueuesDiffer) {
  EXPECT_EQ(expanded({{"enp2s0", {4, 5}}, {"enxaabbccddeeff", {0, 1}}}), "enp2s0:0-1,4-5\n");
  EXPECT_EQ(refused({{"enp2s0", {}}, {"pci:2", {}}}, ExitCode::bad_usage), "--iface: takes enp2s0 twice; name it once");
  EXPECT_EQ(refused({{"enp2s0", {1}}, {"enp2s0", {0, 1}}}, ExitCode::bad_usage),
            "--iface: takes queue 1 of enp2s0 twice; name it once");
  EXPECT_EQ(refused({{"bond0", {}}, {"enp1s0f1", {}}}, ExitCode::bad_usage),
            "--iface: takes enp1s0f1 twice; name it once");
  EXPECT_EQ(refused({{"enp1s0f1", {}}, {"bond0", {}}}, ExitCode::bad_usage),
            "--iface: takes enp1s0f1 twice (member of bond0); name it once");
}

TEST(Expand, ALoopOfLinksEnds) {
  HostNetwork network;
  network.links = {vlan(1, "a", 2, 1), vlan(2, "b", 1, 2)};
  EXPECT_EQ(expand(network, std::vector<InterfaceSetting>{{"a", {}}}, false).size(), 1u);
}

TEST(Protect, AnAlternativeNameProtectsNoLess) {
  HostNetwork network = server();
  network.dependences = {{4, "carries the IPv4 default route"}};
  EXPECT_EQ(why_protected(network, "pci:2"), "carries the IPv4 default route");
}

// As rtnl_fill_ifinfo (net/core/rtnetlink.c) writes it for `ip link add link eth0 name eth0.42 type vlan id 42` with
// `ip link property add dev eth0.42 altname uplink`.
TEST(HostLinks, AreReadFromTheKernelsMessages) {
  alignas(8) std::array<char, 4096> buffer{};
  nlmsghdr* const header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = RTM_NEWLINK;
  auto* const info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg)));
  info->ifi_index = 9;
  mnl_attr_put_strz(header, IFLA_IFNAME, "eth0.42");
  nlattr* const names = mnl_attr_nest_start(header, IFLA_PROP_LIST);
  mnl_attr_put_strz(header, IFLA_ALT_IFNAME, "uplink");
  mnl_attr_put_strz(header, IFLA_ALT_IFNAME, "second");
  mnl_attr_nest_end(header, names);
  mnl_attr_put_u32(header, IFLA_LINK, 2);
  mnl_attr_put_u32(header, IFLA_MASTER, 7);
  nlattr* const kind = mnl_attr_nest_start(header, IFLA_LINKINFO);
  mnl_attr_put_strz(header, IFLA_INFO_KIND, "vlan");
  nlattr* const data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
  mnl_attr_put_u16(header, IFLA_VLAN_ID, 42);
  mnl_attr_nest_end(header, data);
  mnl_attr_nest_end(header, kind);
  const HostLink link = read_link(header);
  EXPECT_EQ(link.index, 9u);
  EXPECT_EQ(link.name, "eth0.42");
  EXPECT_EQ(link.parent, 2u);
  EXPECT_EQ(link.master, 7u);
  EXPECT_EQ(link.kind, "vlan");
  EXPECT_EQ(link.vlan_id, 42);
  EXPECT_EQ(link.alternative_names, (std::vector<std::string>{"uplink", "second"}));
}

}  // namespace
