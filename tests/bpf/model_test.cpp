// The whole root program (block list, networks and filter) over random frames, against a model in plain C++.
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <algorithm>
#include <array>
#include <optional>

#include "bpf/root_program.h"
#include "tests/bpf/frames.h"
#include "tests/bpf/pcap_oracle.h"

namespace {

using namespace bpf_test;

struct Source {
  int family;  // 4 or 6
  std::array<std::uint8_t, 16> bytes;
};

struct Entry {
  int family;
  unsigned prefix_bits;
  std::array<std::uint8_t, 16> bytes;
};

// Up to two tags, complete headers only.
std::optional<Source> source_of(const Frame& frame) {
  std::size_t at = 12;
  const auto type_at = [&](std::size_t offset) { return frame[offset] << 8 | frame[offset + 1]; };
  for (int tags = 0; tags < 2 && (type_at(at) == ETH_P_8021Q || type_at(at) == ETH_P_8021AD); ++tags) {
    at += 4;
    if (frame.size() < at + 2) return std::nullopt;
  }
  const int type = type_at(at);
  at += 2;
  Source source = {};
  if (type == ETH_P_IP && frame.size() >= at + 20) {
    source.family = 4;
    std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at + 12), 4, source.bytes.begin());
    return source;
  }
  if (type != ETH_P_IPV6 || frame.size() < at + 40) return std::nullopt;
  source.family = 6;
  std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at + 8), 16, source.bytes.begin());
  return source;
}

bool covers(const Entry& entry, const Source& source) {
  if (entry.family != source.family) return false;
  for (unsigned bit = 0; bit < entry.prefix_bits; ++bit)
    if (((entry.bytes[bit / 8] ^ source.bytes[bit / 8]) >> (7 - bit % 8)) & 1) return false;
  return true;
}

Entry entry_of(const std::string& text) {
  const std::size_t slash = text.find('/');
  const std::string host = text.substr(0, slash);
  Entry entry = {};
  entry.family = host.find(':') == std::string::npos ? 4 : 6;
  inet_pton(entry.family == 4 ? AF_INET : AF_INET6, host.c_str(), entry.bytes.data());
  entry.prefix_bits = slash == std::string::npos ? (entry.family == 4 ? 32 : 128)
                                                 : static_cast<unsigned>(std::stoi(text.substr(slash + 1)));
  return entry;
}

// A v4-mapped source in an IPv6 header counts as the IPv4 address, for single addresses (bpf/root_abi.h).
bool mapped_and_listed(const std::vector<Entry>& entries, const Source& source) {
  static constexpr std::array<std::uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (source.family != 6 || !std::equal(mapped.begin(), mapped.end(), source.bytes.begin())) return false;
  return std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) {
    return entry.family == 4 && entry.prefix_bits == 32 &&
           std::equal(entry.bytes.begin(), entry.bytes.begin() + 4, source.bytes.begin() + 12);
  });
}

TEST(RootModel, JudgesRandomFramesAsTheModelDoes) {
  NEEDS_ROOT();
  const std::vector<std::string> texts = {"10.0.0.1",        "192.0.2.9",       "fe80::1",
                                          "192.168.1.64/26", "2001:db8:1::/48", "224.0.0.0/4"};
  const std::string filter = "udp port 53 or tcp or arp or vlan 5";
  bpf::RootConfig config;
  std::vector<Entry> entries;
  for (const std::string& text : texts) {
    bpf::add_block_entry(text, "test", config.block);
    entries.push_back(entry_of(text));
  }
  config.filter = filter;
  auto root = bpf::RootProgram::load(config);
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  const PcapFilter oracle(filter);

  constexpr std::uint64_t frames = 100'000;
  root_counters expected = {};
  std::mt19937_64 random(1);
  for (std::uint64_t i = 0; i < frames; ++i) {
    const Frame frame = random_frame(random);
    const std::optional<Source> source = source_of(frame);
    const bool blocked =
        source && (mapped_and_listed(entries, *source) ||
                   std::any_of(entries.begin(), entries.end(), [&](const Entry& e) { return covers(e, *source); }));
    const std::uint32_t verdict = blocked ? XDP_DROP : oracle.matches(frame) ? XDP_REDIRECT : XDP_PASS;
    ++(blocked ? expected.blocked : verdict == XDP_REDIRECT ? expected.redirected : expected.passed);
    ASSERT_EQ(run(root.program_fd(), frame), verdict) << "frame " << i << ": " << testing::PrintToString(frame);
  }
  const root_counters counters = root.counters(0);
  EXPECT_EQ(counters.xdp_seen, frames);
  EXPECT_EQ(counters.blocked, expected.blocked);
  EXPECT_EQ(counters.redirected, expected.redirected);
  EXPECT_EQ(counters.passed, expected.passed);
  EXPECT_EQ(sum_of_verdicts(counters), frames);
  EXPECT_GT(std::min({expected.blocked, expected.redirected, expected.passed}), frames / 20) << "each branch is taken";
}

}  // namespace
