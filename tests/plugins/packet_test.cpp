// What a plugin reads of packets, addresses and bytes.
#include <gtest/gtest.h>

#include "tests/plugins/lab.h"

using lab::Lab;

namespace {

TEST(Packet, GivesItsFieldsAsPlainValues) {
  Lab lab;
  EXPECT_EQ(
      lab.failure_of("return type(p.time) == 'number' and p.time % 1000 == 0 and p.caplen == 60 and p.len >= 100 "
                     "and p.eth_type == 0x800 and p.ip_version == 4 and (p.proto == 6 or p.proto == 17) "
                     "and p.is_fragment == false and p.dst4 == 0xc0a80001 and p.queue == 0 and p.payload_len == 18 "
                     "and p.ts_source == 'engine' and p.tcp_flags == 0 and p.vlan == 0 and p.hash == 0"),
      "");
}

TEST(Packet, ReadsFragmentsAsBooleansAndTimeSourcesAsNames) {
  Lab lab;
  lab.load(
      "local n = 0 function on_packet(p) assert(p.is_fragment == true) n = n + 1\n"
      "  assert(p.outgoing == (n % 2 == 0)) assert(p.ts_source == ({'engine', 'file', 'kernel', 'hardware'})[n], "
      "p.ts_source) end");
  for (std::uint8_t i = 0; i < 4; ++i) {
    LAB_SET(lab.packets[i], is_fragment, true);
    LAB_SET(lab.packets[i], _ts_source, i);
    LAB_SET(lab.packets[i], outgoing, i % 2 == 1);
  }
  lab.run(4);
  EXPECT_EQ(lab.state->statistics().errors, 0u) << lab.messages()[0].text();
}

TEST(Packet, ReadsBytesInNetworkOrder) {
  Lab lab;
  EXPECT_EQ(lab.failure_of("return p:u8(0) == 0 and p:u8(59) == 59 and p:u16(12) == 0x0c0d and p:u32(56) == 0x38393a3b "
                           "and p:u16(58) == 0x3a3b and p:u8(1.9) == 1"),
            "");
}

TEST(Packet, ReadsHighBytesAsUnsigned) {
  Lab lab;
  lab.load("function on_packet(p) assert(p:u32(0) == 0xfffefdfc and p:u16(0) == 0xfffe, p:u32(0)) end");
  for (std::uint8_t i = 0; i < 4; ++i) lab.frames[i] = static_cast<std::uint8_t>(0xff - i);
  lab.run(1);
  EXPECT_EQ(lab.state->statistics().errors, 0u) << lab.messages()[0].text();
}

TEST(Packet, FindsAndCutsBytes) {
  Lab lab;
  EXPECT_EQ(lab.failure_of("return p:find('\\5\\6') == 5 and p:find('\\5\\6', 5) == 5 and p:find('\\5', 6) == nil "
                           "and p:find('\\59\\60') == nil and p:find('\\59') == 59 and p:string(65 - 5, 0) == '' "
                           "and p:string(10, 3) == '\\10\\11\\12' and #p:string(10) == 50"),
            "");
  EXPECT_EQ(lab.failure_of("return p:find('') == nil").find("eval:2: find: bytes expected"), 0u);
}

TEST(Packet, GivesViewsWithTheSameCalls) {
  Lab lab;
  EXPECT_EQ(
      lab.failure_of("local v = p:payload() local w = v:view(2, 4)\n"
                     "return #v == 18 and v:u8(0) == 42 and v:u16(0) == 42 * 256 + 43 and v:u32(14) == 0x38393a3b\n"
                     "and #w == 4 and w:u8(0) == 44 and w:u8(4) == nil and v:find('\\50') == 8 and v:string() == "
                     "p:string(42, 18)\n"
                     "and w == p:string(44, 4) and w ~= 'x' and w == p:view(44, 4) and tostring(w) == ',-./'"),
      "");
}

TEST(Packet, GivesTheExactTimeOfArrivalAs64Bits) {
  Lab lab;
  lab.load(
      "function on_packet(p) assert(p:ts_ns() == 1700000000123457789ULL, tostring(p:ts_ns()))\n"
      "  assert(engine.epoch_ns == 1700000000123456789ULL and engine.now() == p.time)\n"
      "  assert(engine.date() == '2023-11-14T22:13:20.123457789Z', engine.date())\n"
      "  assert(engine.date(p.time + 1e9) == '2023-11-14T22:13:21.123457789Z') end");
  const std::uint16_t second = 1;  // its time is 1000
  lab.state->run(std::span(&second, 1));
  EXPECT_EQ(lab.state->statistics().errors, 0u) << lab.messages()[0].text();
}

TEST(Packet, FollowsAnEpochThatIsKnownOnlyLater) {
  Lab lab;
  lab.load("function on_packet(p) assert(p:ts_ns() == 5000000000ULL and engine.epoch_ns == 5000000000ULL) end");
  lab.state->set_epoch(5'000'000'000);
  lab.run(1);
  EXPECT_EQ(lab.state->statistics().errors, 0u) << lab.messages()[0].text();
}

TEST(Packet, NamesWhatIsNearAMisspeltField) {
  Lab lab;
  EXPECT_EQ(lab.error_of("local x = p.dst_prot"), "eval:2: a packet has no field 'dst_prot'; did you mean 'dst_port'?");
  EXPECT_EQ(lab.error_of("local x = p:paylod()"), "eval:2: a packet has no field 'paylod'; did you mean 'payload'?");
  EXPECT_EQ(lab.error_of("local x = p.src:in_nt()").find("eval:2: an address has no 'in_nt'; did you mean 'in_net'?"),
            0u);
}

TEST(Address, ComparesTestsAndCuts) {
  Lab lab;
  EXPECT_EQ(
      lab.failure_of(
          "return p.dst == ip'192.168.0.1' and p.dst ~= ip'192.168.0.2' and p.src ~= p.dst\n"
          "and p.src:in_net(net'10.0.0.0/8') and not p.src:in_net(net'11.0.0.0/8') and p.dst:in_net('192.168.0.0/31')\n"
          "and p.dst:prefix(24) == ip'192.168.0.0' and p.dst:prefix(0) == ip'0.0.0.0' and p.dst:prefix(32) == p.dst\n"
          "and ip'2001:db8::1':in_net(net'2001:db8::/32') and not ip'2001:db9::1':in_net(net'2001:db8::/32')\n"
          "and ip'2001:db8:ffff::1':prefix(33) == ip'2001:db8:8000::' and not p.dst:in_net(net'::/96')\n"
          "and net'10.0.0.0/8':contains(p.src) and p.dst:in_net(net'192.168.0.1') and (p.dst == nil) == false"),
      "");
}

TEST(Address, IsATableKeyByItsKeyAndKeptByACopy) {
  Lab lab;
  EXPECT_EQ(lab.failure_of("first = first or p.src:copy() keys[p.src:key()] = true\n"
                           "return keys[first:key()] and #p.src:key() == 16 and tostring(first) == want()",
                           "local keys, first = {}, nil local function want() return '10.0.0.0' end"),
            "");
}

TEST(Address, ReadsAsPeopleWriteIt) {
  Lab lab;
  EXPECT_EQ(
      lab.failure_of("return tostring(p.dst) == '192.168.0.1' and p.dst:tostring() == '192.168.0.1' and "
                     "tostring(ip'2001:DB8:0:0::1') == '2001:db8::1' and tostring(net'10.1.2.3/8') == '10.0.0.0/8' and "
                     "tostring(net'2001:db8::/32') == '2001:db8::/32' and ('%s'):format(p.dst) == '192.168.0.1'"),
      "");
}

TEST(Address, RefusesToBeComparedWithAText) {
  Lab lab;
  EXPECT_NE(lab.error_of("local x = p.src == '10.0.0.1'").find("eval:2: an address is compared with an address"),
            std::string::npos);
  EXPECT_NE(lab.error_of("local x = p.src == 5").find("eval:2: an address is compared"), std::string::npos);
}

TEST(Address, RefusesWhatIsNoAddressOrNetwork) {
  for (const char* bad :
       {"ip'10.0.0'", "ip'x'", "ip(5)", "net'10.0.0.0/33'", "net'10.0.0.0/'", "net'10.0.0.0/-1'", "net'2001:db8::/129'",
        "net'/8'", "net(nil)", "p.src:prefix(33)", "p.src:prefix(1.5)", "p.src:in_net(5)"}) {
    Lab lab;
    EXPECT_EQ(lab.error_of("local x = " + std::string(bad)).find("eval:2: "), 0u) << bad;
  }
}

}  // namespace
