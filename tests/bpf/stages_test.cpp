// Bypass list and rate limit, one frame at a time (BPF_PROG_TEST_RUN, queue 0).
#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <chrono>

#include "bpf/root_program.h"
#include "tests/bpf/frames.h"
#include "tests/bpf/root_model.h"

namespace {

using namespace bpf_test;

constexpr auto drop = static_cast<std::uint32_t>(XDP_DROP);
constexpr auto pass = static_cast<std::uint32_t>(XDP_PASS);
constexpr auto redirect = static_cast<std::uint32_t>(XDP_REDIRECT);

struct Loaded {
  explicit Loaded(const bpf::RootConfig& config) : root(bpf::RootProgram::load(config)) {
    root.set_socket(0, socket.get());
  }
  std::uint32_t run(const Frame& frame) const { return bpf_test::run(root.program_fd(), frame); }

  engine::UniqueFd socket = unbound_socket();
  bpf::RootProgram root;
};

bpf::RootConfig bypassing(std::uint32_t flows) {
  bpf::RootConfig config;
  config.bypass_flows = flows;
  return config;
}

bpf::RootConfig limiting(bpf::RateLimit limit) {
  bpf::RootConfig config;
  config.rate_sources = 1024;
  config.rate = limit;
  return config;
}

TEST(Bypass, PassesBothDirectionsOfAFlowInAnyVlanAndCountsThem) {
  NEEDS_ROOT();
  Loaded on(bypassing(4));
  const Frame there = udp_frame("10.0.0.1", "10.0.0.2", 1000, 53);
  const Frame back = udp_frame("10.0.0.2", "10.0.0.1", 53, 1000, {5, 6});
  EXPECT_EQ(on.run(there), redirect);
  const root_flow flow = flow_of(there).value();
  EXPECT_EQ(on.root.bypass(flow), 0);
  EXPECT_EQ(on.run(there), pass);
  EXPECT_EQ(on.run(back), pass);
  EXPECT_EQ(on.run(udp_frame("10.0.0.1", "10.0.0.2", 1001, 53)), redirect) << "another port";
  EXPECT_EQ(on.root.bypass(flow), 0) << "again: keeps its figures";
  root_flow_counters counters = {};
  EXPECT_EQ(on.root.lists().bypass_counters(flow, counters), 0);
  EXPECT_EQ(counters.packets, 2U);
  EXPECT_EQ(counters.bytes, there.size() + back.size());
  counters = {};
  EXPECT_EQ(on.root.unbypass(flow, counters), 0);
  EXPECT_EQ(counters.packets, 2U);
  EXPECT_EQ(on.root.unbypass(flow, counters), ENOENT);
  EXPECT_EQ(on.run(there), redirect);
  EXPECT_EQ(on.root.counters(0).bypassed, 2U);
  EXPECT_EQ(sum_of_verdicts(on.root.counters(0)), 5U);
}

TEST(Bypass, KnowsIpv6FlowsBehindExtensionHeaders) {
  NEEDS_ROOT();
  Loaded on(bypassing(4));
  Frame plain = udp_frame("2001:db8::1", "2001:db8::2", 1000, 53);
  EXPECT_EQ(on.root.bypass(flow_of(plain).value()), 0);
  Frame extended = plain;
  extended[14 + 6] = IPPROTO_HOPOPTS;
  const std::uint8_t options[] = {IPPROTO_UDP, 0, 1, 4, 0, 0, 0, 0};
  extended.insert(extended.begin() + 14 + 40, std::begin(options), std::end(options));
  EXPECT_EQ(on.run(extended), pass);
  extended[14 + 6] = IPPROTO_FRAGMENT;
  extended[14 + 40 + 2] = extended[14 + 40 + 3] = 0;
  EXPECT_EQ(on.run(extended), pass) << "a first fragment has ports";
  extended[14 + 40 + 3] = 8;
  EXPECT_EQ(on.run(extended), redirect) << "a later one has none";
}

TEST(Bypass, TakesLaterFragmentsForAFlowWithoutPorts) {
  NEEDS_ROOT();
  Loaded on(bypassing(4));
  const Frame whole = udp_frame("10.0.0.1", "10.0.0.2", 1000, 53);
  Frame later = whole;
  later[14 + 7] = 10;  // the offset's low byte
  EXPECT_EQ(on.root.bypass(flow_of(whole).value()), 0);
  EXPECT_EQ(on.run(later), redirect);
  EXPECT_EQ(on.root.bypass(flow_of(later).value()), 0);
  EXPECT_EQ(on.run(later), pass);
}

TEST(Bypass, CountsAllBuffersOfALongFrame) {
  NEEDS_ROOT();
  bpf::RootConfig config = bypassing(4);
  config.frags = true;
  Loaded on(config);
  Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1000, 53);
  frame.resize(9014);
  const root_flow flow = flow_of(frame).value();
  EXPECT_EQ(on.run(frame), redirect);
  EXPECT_EQ(on.root.bypass(flow), 0);
  EXPECT_EQ(on.run(frame), pass);
  root_flow_counters counters = {};
  EXPECT_EQ(on.root.unbypass(flow, counters), 0);
  EXPECT_EQ(counters.bytes, 9014U);
}

TEST(Bypass, ComesAfterTheBlockListAndBeforeRateLimitAndFilter) {
  NEEDS_ROOT();
  bpf::RootConfig config = bypassing(4);
  config.rate_sources = 16;
  config.rate = {.max_pps = 1, .burst = 1};
  config.filter = "tcp";
  config.more_addresses = 1;
  Loaded on(config);
  const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1000, 53);
  EXPECT_EQ(on.root.bypass(flow_of(frame).value()), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(on.run(frame), pass);
  EXPECT_EQ(on.root.counters(0).bypassed, 3U);
  bpf::BlockList list;
  bpf::add_block_entry("10.0.0.1", "test", list);
  EXPECT_EQ(on.root.block(list.addresses[0]), 0);
  EXPECT_EQ(on.run(frame), drop);
  EXPECT_EQ(on.root.counters(0).blocked, 1U);
}

TEST(Bypass, SaysThatItIsFullOrNotThere) {
  NEEDS_ROOT();
  Loaded on(bypassing(1));
  root_flow_counters counters = {};
  const root_flow first = flow_of(udp_frame("10.0.0.1", "10.0.0.2", 1, 2)).value();
  const root_flow second = flow_of(udp_frame("10.0.0.1", "10.0.0.2", 1, 3)).value();
  EXPECT_EQ(on.root.bypass(first), 0);
  EXPECT_EQ(on.root.bypass(second), E2BIG);
  EXPECT_EQ(bpf::RootProgram::load({}).bypass(first), EBADF);
  EXPECT_EQ(bpf::RootProgram::load({}).unbypass(first, counters), EBADF);
}

TEST(RateLimit, LetsABurstThroughAndThenDropsPerSource) {
  NEEDS_ROOT();
  Loaded on(limiting({.max_pps = 1, .burst = 20}));
  for (const char* source : {"10.0.0.1", "10.0.0.2", "2001:db8::1"}) {
    const bool v6 = std::string(source).find(':') != std::string::npos;
    const Frame frame = udp_frame(source, v6 ? "2001:db8::99" : "198.51.100.1", 1000, 53);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(on.run(frame), redirect) << source << " " << i;
    int through = 0;
    for (int i = 0; i < 100; ++i) through += on.run(frame) == redirect ? 1 : 0;
    EXPECT_LE(through, 99) << source;
  }
  const root_counters counters = on.root.counters(0);
  EXPECT_GT(counters.rate_limited, 0U);
  EXPECT_EQ(counters.rate_limited + counters.redirected, counters.xdp_seen);
}

TEST(RateLimit, LeavesWhatIsNotIpAlone) {
  NEEDS_ROOT();
  Loaded on(limiting({.max_pps = 1, .burst = 1}));
  Frame arp(60, 0);
  arp[12] = 0x08, arp[13] = 0x06;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(on.run(arp), redirect);
}

// Live: what comes through is what the clock allows, whatever time the run takes.
TEST(RateLimit, GivesASourceItsRateWithinTheBurst) {
  NEEDS_ROOT();
  using Clock = std::chrono::steady_clock;
  constexpr std::uint64_t max_pps = 20'000, burst = 1'000;
  Loaded on(limiting({.max_pps = max_pps, .burst = burst}));
  const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1000, 53);
  const auto start = Clock::now();
  auto now = start;
  Clock::duration longest{};  // between two looks at the clock: nothing came, and beyond the burst nothing is saved up
  std::uint64_t sent = 0;
  for (auto last = start; now - start < std::chrono::seconds(1); last = now) {
    for (int i = 0; i < 64; ++i, ++sent) on.run(frame);
    now = Clock::now();
    longest = std::max(longest, now - last);
  }
  const double seconds = std::chrono::duration<double>(now - start).count();
  const auto through = static_cast<double>(on.root.counters(0).redirected);
  const double tick = static_cast<double>(bpf::kernel_tick_ns()) / 1e9;
  const double slack = static_cast<double>(burst) + max_pps * 2 * tick;
  EXPECT_LE(through, max_pps * seconds + slack);
  const bool was_busy = longest < std::chrono::milliseconds(20) && static_cast<double>(sent) > 4 * max_pps * seconds;
  EXPECT_GE(through, was_busy ? max_pps * seconds - slack : burst) << "sent " << sent << " in " << seconds;
}

TEST(RateLimit, DoesNotHideFromTheBlockListWhoWasLetThroughBefore) {
  NEEDS_ROOT();
  bpf::RootConfig config = limiting({.max_pps = 1'000'000, .burst = 0});
  config.more_addresses = config.more_networks = 1;
  Loaded on(config);
  const Frame first = udp_frame("10.0.0.1", "10.0.0.2", 1, 53), second = udp_frame("10.0.1.1", "10.0.0.2", 1, 53);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(on.run(first), redirect);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(on.run(second), redirect);
  bpf::BlockList list;
  bpf::add_block_entry("10.0.0.1", "test", list);
  bpf::add_block_entry("10.0.1.0/24", "test", list);
  EXPECT_EQ(on.root.block(list.addresses[0]), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(on.run(first), drop);
  EXPECT_EQ(on.run(second), redirect);
  EXPECT_EQ(on.root.block(list.networks[0]), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(on.run(second), drop);
  EXPECT_EQ(on.root.unblock(list.addresses[0]), 0);
  EXPECT_EQ(on.root.unblock(list.networks[0]), 0);
  EXPECT_EQ(on.run(first), redirect);
  EXPECT_EQ(on.run(second), redirect);
  EXPECT_EQ(on.root.counters(0).blocked, 6U);

  config.block = list;
  config.more_addresses = config.more_networks = 0;
  on.root.swap(config);
  EXPECT_EQ(on.run(first), drop) << "blocked by the exchange";
  EXPECT_EQ(on.run(second), drop);
}

TEST(RateLimit, IsChangedWhileFramesArrive) {
  NEEDS_ROOT();
  Loaded on(limiting({}));
  const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1000, 53);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(on.run(frame), redirect) << "no limit yet";
  EXPECT_EQ(on.root.set_rate_limit({.max_pps = 1, .burst = 1}), 0);
  for (int i = 0; i < 50; ++i) on.run(frame);
  EXPECT_GT(on.root.counters(0).rate_limited, 0U);
  const std::uint64_t limited = on.root.counters(0).rate_limited;
  EXPECT_EQ(on.root.set_rate_limit({}), 0);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(on.run(frame), redirect) << "none any more";
  EXPECT_EQ(on.root.counters(0).rate_limited, limited);
  EXPECT_EQ(on.root.set_rate_limit({.max_pps = bpf::RateLimit::max_max_pps + 1, .burst = 0}), EINVAL);
  EXPECT_EQ(bpf::RootProgram::load({}).set_rate_limit({.max_pps = 1, .burst = 1}), EBADF);
  EXPECT_NE(error_of([] {
              bpf::RootProgram::load(limiting({.max_pps = 2'000'000'000, .burst = 0}));
            }).find("2: rate limit: 2000000000 packets a second is more than 1000000000"),
            std::string::npos);
}

TEST(RateLimit, HasRoomForTwoTicksAtLeast) {
  constexpr std::uint64_t tick_ns = 4'000'000;
  EXPECT_EQ(bpf::effective_burst({.max_pps = 1'000'000, .burst = 10}, tick_ns), 8000U);
  EXPECT_EQ(bpf::effective_burst({.max_pps = 1'000'000, .burst = 0}, tick_ns), 100'000U);
  EXPECT_EQ(bpf::effective_burst({.max_pps = 1'000, .burst = 500}, tick_ns), 500U);
  EXPECT_EQ(bpf::effective_burst({.max_pps = 1, .burst = 0}, tick_ns), 1U) << "one packet at least";
  EXPECT_GE(bpf::kernel_tick_ns(), 1'000'000U);
  EXPECT_LE(bpf::kernel_tick_ns(), 10'000'000U);
}

TEST(Stages, HaveNoMapsWhereTheyAreNotConfigured) {
  NEEDS_ROOT();
  const auto bare = bpf::RootProgram::load({});
  for (const char* name : {"root_now", "root_bypass", "root_rates"})
    EXPECT_FALSE(map_named(bare, name).valid()) << name;
  bpf::RootConfig config = bypassing(1);
  config.rate_sources = 1;
  const auto full = bpf::RootProgram::load(config);
  for (const char* name : {"root_now", "root_bypass", "root_rates"}) EXPECT_TRUE(map_named(full, name).valid()) << name;
}

}  // namespace
