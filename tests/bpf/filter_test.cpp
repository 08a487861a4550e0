// --filter against libpcap's interpreter: the same text, the same frames, the same answer.
#include "bpf/filter.h"

#include <linux/bpf.h>

#include <atomic>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "bpf/root_program.h"
#include "tests/bpf/frames.h"
#include "tests/bpf/pcap_oracle.h"

namespace {

using namespace bpf_test;

const char* const filters[] = {
    "",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "igmp",
    "ether proto 0x88a8",
    "port 53",
    "udp port 53",
    "tcp port 80 or tcp port 443",
    "src port 22",
    "dst port 443",
    "tcp dst port 8080",
    "portrange 20-100",
    "tcp portrange 400-9000",
    "host 10.0.0.1",
    "src host 192.168.1.1",
    "dst host 192.0.2.9",
    "host 2001:db8::1",
    "src host fe80::1",
    "net 10.0.0.0/8",
    "net 192.168.1",
    "src net 192.168.0.0/16 and dst net 10.0.0.0/8",
    "net 2001:db8::/32",
    "ip6 net 2001:db8:1::/48",
    "not port 22",
    "not (tcp or udp)",
    "tcp and not port 80",
    "host 10.0.0.1 and (port 80 or port 53)",
    "(host 10.0.0.1 or host 192.168.1.77) and not icmp",
    "arp host 10.0.0.1",
    "ether host 02:00:00:00:00:01",
    "ether src 02:00:00:00:00:01",
    "broadcast",
    "multicast",
    "ip multicast",
    "ip6 multicast",
    "vlan",
    "vlan 5",
    "vlan 42 and ip",
    "vlan and udp port 53",
    "vlan and vlan",
    "vlan 5 and vlan 42 and host 10.0.0.1",
    "tcp or (vlan and tcp)",
    "mpls",
    "mpls and host 10.0.0.1",
    "pppoes",
    "pppoes 7 and host 192.168.1.1",
    "less 64",
    "greater 100",
    "len > 60 and udp",
    "ip[0] & 0xf != 5",
    "ip[6:2] & 0x1fff != 0",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[13] == 18",
    "udp[4:2] > 100",
    "ip[8] < 64",
    "ip6[6] == 0",
    "ip proto 50",
    "ip6 proto 17",
    "ip[2:2] - ((ip[0] & 0xf) << 2) > 500",
    "ether[0] & 1 = 1",
    "ether[12:4] = 0x08004500",
    "(ip[2:2] / 7) % 3 == 1",
    "ip[4:2] / (ip[1] & 3) > 1000",
    "ip[4:2] % (ip[1] & 3) = 1",
    "(ip[4:4] >> (ip[1] & 63)) & 1 = 1",
    "(ip[8] << (ip[1] & 63)) > 1000",
    "-ip[8] & 0xff = 192",
    "ip[ip[8]:4] > 0x80000000",
    "ether[len - 1] > 128",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    "icmp[icmptype] = icmp-echo",
    "icmp6[0] = 128",
    "ip host 10.0.0.1 or arp host 10.0.0.1 or ip6 host 2001:db8::1",
    "host 10.0.0.1 or host 10.1.2.3 or host 192.168.1.1 or host 192.0.2.9 or net 224.0.0.0/4 or port 22 or port 53",
};

TEST(Filter, MeansWhatItMeansToLibpcap) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  config.filter = "";
  auto root = bpf::RootProgram::load(config);
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  std::mt19937_64 random(20240229);
  std::vector<Frame> frames;
  for (int i = 0; i < 2000; ++i) frames.push_back(random_frame(random));
  std::uint64_t runs = 0, matched = 0;
  for (const char* text : filters) {
    root.set_filter(text);
    const PcapFilter oracle(text);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const bool match = run(root.program_fd(), frames[i]) == XDP_REDIRECT;
      ASSERT_EQ(match, oracle.matches(frames[i]))
          << text << ", frame " << i << ": " << testing::PrintToString(frames[i]);
      matched += match;
      ++runs;
    }
  }
  const root_counters counters = root.counters(0);
  EXPECT_EQ(counters.xdp_seen, runs);
  EXPECT_EQ(counters.redirected, matched);
  EXPECT_EQ(counters.passed, runs - matched);
}

// Terms joined by and, or, not. Some make no sense to libpcap, such as `ip and ip6` ("rejects all packets").
std::string random_text(std::mt19937_64& random, int depth) {
  if (depth == 0) return std::string("(") + filters[1 + random() % (std::size(filters) - 1)] + ")";
  const std::string left = random_text(random, depth - 1), right = random_text(random, depth - 1);
  switch (random() % 3) {
    case 0:
      return "(" + left + " and " + right + ")";
    case 1:
      return "(" + left + " or " + right + ")";
    default:
      return "(not " + left + " and " + right + ")";
  }
}

TEST(Filter, MeansWhatItMeansToLibpcapAlsoInRandomCombinations) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  config.filter = "";
  auto root = bpf::RootProgram::load(config);
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  std::mt19937_64 random(3);
  int refused = 0;
  constexpr int texts = 300;
  for (int i = 0; i < texts; ++i) {
    const std::string text = random_text(random, 1 + i % 3);
    if (const std::string error = error_of([&] { root.set_filter(text); }); !error.empty()) {
      EXPECT_THROW(PcapFilter{text}, std::runtime_error) << "libpcap takes it, and we: " << error;
      ++refused;
      continue;
    }
    const PcapFilter oracle(text);
    for (int n = 0; n < 300; ++n) {
      const Frame frame = random_frame(random);
      ASSERT_EQ(run(root.program_fd(), frame) == XDP_REDIRECT, oracle.matches(frame))
          << text << ": " << testing::PrintToString(frame);
    }
  }
  EXPECT_LT(refused, texts / 2);
}

TEST(Filter, EachOfTheFiltersTestedMatchesSomeFramesAndNotOthers) {
  std::mt19937_64 random(20240229);
  std::vector<Frame> frames;
  for (int i = 0; i < 2000; ++i) frames.push_back(random_frame(random));
  for (const char* text : filters) {
    const PcapFilter oracle(text);
    std::size_t matched = 0;
    for (const Frame& frame : frames) matched += oracle.matches(frame);
    const bool rare = std::string(text) == "rarp" || std::string(text) == "igmp" ||
                      std::string(text).starts_with("tcp[((") || std::string(text).starts_with("ether[12:4]");
    EXPECT_TRUE(rare || matched > 0) << text;
    EXPECT_TRUE(*text == '\0' || matched < frames.size()) << text;
  }
}

TEST(Filter, RefusesABadTextInLibpcapsWords) {
  EXPECT_EQ(error_of([] { bpf::compile_filter("port http-or-so"); }).find("2: filter \"port http-or-so\": "), 0U);
  EXPECT_NE(error_of([] { bpf::compile_filter("tcp and and"); }).find("syntax error"), std::string::npos);
}

TEST(Filter, RefusesByNameWhatTheKernelCannotRun) {
  EXPECT_NE(error_of([] { bpf::load_filter("ip6 protochain 6", -1); }).find("\"ip6 protochain 6\": has a loop"),
            std::string::npos);
  EXPECT_NE(error_of([] { bpf::load_filter("inbound", -1); }).find("\"inbound\": asks for something that is not in"),
            std::string::npos);
}

TEST(Filter, KeepsTheOldOneWhenTheNewOneIsBad) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  config.filter = "udp port 53";
  auto root = bpf::RootProgram::load(config);
  EXPECT_NE(error_of([&] { root.set_filter("udp prt 54"); }), "");
  EXPECT_EQ(run(root.program_fd(), udp_frame("10.0.0.1", "10.0.0.2", 1, 54)), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(root.counters(0).passed, 1U);
}

TEST(Filter, CannotBeSetOnARunWithoutAFilterStage) {
  NEEDS_ROOT();
  auto root = bpf::RootProgram::load({});
  EXPECT_FALSE(root.has_filter_stage());
  EXPECT_EQ(error_of([&] { root.set_filter("udp"); }).find("2: set the filter: "), 0U);
}

TEST(Filter, IsSwappedWhileFramesArriveWithoutLosingOne) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  config.filter = "udp";
  auto root = bpf::RootProgram::load(config);
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  constexpr std::uint32_t frames_per_run = 100'000;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> runs = 0;
  std::thread traffic([&] {
    const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1, 53);
    while (!stop.load(std::memory_order_relaxed)) {
      run_ns(root.program_fd(), frame, frames_per_run);
      runs.fetch_add(1, std::memory_order_relaxed);
    }
  });
  // Until both filters have judged frames, and 100 swaps at least.
  for (int swaps = 0; swaps < 10'000; ++swaps) {
    root.set_filter(swaps % 2 == 0 ? "tcp" : "udp");
    const root_counters now = root.counters(0);
    if (swaps >= 100 && now.passed > 0 && now.redirected > 0 && runs.load(std::memory_order_relaxed) > 4) break;
  }
  stop = true;
  traffic.join();
  const root_counters counters = root.counters(0);
  EXPECT_EQ(counters.xdp_seen, runs * frames_per_run);
  EXPECT_EQ(counters.xdp_seen, counters.passed + counters.redirected);
  EXPECT_GT(counters.passed, 0U);
  EXPECT_GT(counters.redirected, 0U);
}

}  // namespace
