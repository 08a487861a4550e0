// The whole root program (each stage) over random frames, against a model in plain C++.
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>

#include "bpf/root_program.h"
#include "tests/bpf/frames.h"
#include "tests/bpf/root_model.h"

namespace {

using namespace bpf_test;

// A run takes about two microseconds, ten times that where each access is checked.
#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t frames = 100'000;
#else
constexpr std::uint64_t frames = 1'000'000;
#endif
constexpr std::uint64_t allowed_per_source = frames / 200;

// Those that random frames belong to most often, addresses that are blocked apart.
std::vector<root_flow> frequent_flows(RootModel& model, std::size_t count) {
  std::map<root_flow, std::size_t, bpf::FlowLess> seen;
  std::mt19937_64 random(2);
  for (int i = 0; i < 50'000; ++i) {
    const Frame frame = random_frame(random);
    const std::optional<root_flow> flow = flow_of(frame);
    if (flow && model.judge(frame) != XDP_DROP) ++seen[*flow];
  }
  std::vector<std::pair<std::size_t, root_flow>> order;
  for (const auto& [flow, times] : seen) order.emplace_back(times, flow);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<root_flow> flows;
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i) flows.push_back(order[i].second);
  return flows;
}

// Time stands still: each source may send so many, and then none.
void stop_the_clock(const bpf::RootProgram& root) {
  const engine::UniqueFd map = map_named(root, "root_now");
  const std::uint32_t zero = 0;
  root_live live = {};
  ASSERT_EQ(bpf_map_lookup_elem(map.get(), &zero, &live), 0);
  live.tick_ps = 0;
  live.rate_burst_ps = allowed_per_source * live.rate_cost_ps;
  ASSERT_EQ(bpf_map_update_elem(map.get(), &zero, &live, BPF_ANY), 0);
}

void block_more(bpf::RootProgram& root, RootModel& model) {
  bpf::BlockList list;
  for (const char* text : {"2001:db8::1", "10.1.0.0/16"}) {
    bpf::add_block_entry(text, "test", list);
    model.block(text);
  }
  ASSERT_EQ(root.block(list.addresses[0]), 0);
  ASSERT_EQ(root.block(list.networks[0]), 0);
  stop_the_clock(root);
}

void expect_equal(const root_counters& got, const root_counters& expected) {
  EXPECT_EQ(got.xdp_seen, expected.xdp_seen);
  EXPECT_EQ(got.blocked, expected.blocked);
  EXPECT_EQ(got.bypassed, expected.bypassed);
  EXPECT_EQ(got.rate_limited, expected.rate_limited);
  EXPECT_EQ(got.redirected, expected.redirected);
  EXPECT_EQ(got.passed, expected.passed);
  EXPECT_EQ(sum_of_verdicts(got), expected.xdp_seen);
}

class RootModelTest : public testing::TestWithParam<bool> {};

TEST_P(RootModelTest, JudgesRandomFramesAsTheModelDoes) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  RootModel model, scout;
  for (const char* text : {"10.0.0.1", "192.0.2.9", "fe80::1", "192.168.1.64/26", "2001:db8:1::/48", "224.0.0.0/4"}) {
    bpf::add_block_entry(text, "test", config.block);
    model.block(text);
    scout.block(text);
  }
  const std::string filter = "udp port 53 or tcp or arp or vlan 5";
  config.filter = filter;
  config.more_addresses = config.more_networks = 1;
  config.bypass_flows = 64;
  config.rate_sources = 1 << 18;  // more than there are: none is pushed out
  config.rate = {.max_pps = 1, .burst = 1};
  config.frags = GetParam();
  auto root = bpf::RootProgram::load(config);
  model.filter(filter);
  model.allow_per_source(allowed_per_source);
  for (const root_flow& flow : frequent_flows(scout, config.bypass_flows)) {
    model.bypass(flow);
    ASSERT_EQ(root.bypass(flow), 0);
  }
  stop_the_clock(root);
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());

  std::mt19937_64 random(GetParam() ? 3 : 1);
  for (std::uint64_t i = 0; i < frames / 2; ++i) {
    if (i == frames / 4) block_more(root, model);  // sources that have been let through until now
    const Frame frame = random_frame(random);
    ASSERT_EQ(run(root.program_fd(), frame), model.judge(frame))
        << "frame " << i << ": " << testing::PrintToString(frame);
  }
  const root_counters& expected = model.counters();
  expect_equal(root.counters(0), expected);
  for (const auto& [flow, counters] : model.flows()) {
    root_flow_counters last = {};
    ASSERT_EQ(root.unbypass(flow, last), 0);
    EXPECT_EQ(last.packets, counters.packets);
    EXPECT_EQ(last.bytes, counters.bytes);
  }
  EXPECT_GT(
      std::min({expected.blocked, expected.bypassed, expected.rate_limited, expected.redirected, expected.passed}),
      frames / 100)
      << "each branch is taken";
}

INSTANTIATE_TEST_SUITE_P(Half, RootModelTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Frags" : "Linear"; });

}  // namespace
