// Other stages while frames arrive: nothing is lost, counters and lists go on. On a veth pair.
#include <linux/bpf.h>
#include <net/if.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "bpf/root_program.h"
#include "tests/bpf/frames.h"
#include "tests/bpf/root_model.h"

namespace {

using namespace bpf_test;
using bpf::AttachMode;
using bpf::AttachRequest;
using bpf::Foreign;

constexpr auto drop = static_cast<std::uint32_t>(XDP_DROP);
constexpr auto pass = static_cast<std::uint32_t>(XDP_PASS);
constexpr auto redirect = static_cast<std::uint32_t>(XDP_REDIRECT);

void await(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition())
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("nothing happened for 30 seconds");
}

void attach(bpf::RootProgram& root, AttachRequest request = AttachRequest::native) {
  root.attach(if_nametoindex("veth_a"), "veth_a", request, Foreign::refuse);
}

bpf::RootConfig config_of_round(int round) {
  bpf::RootConfig config;
  if (round % 2 == 1) config.filter = round % 4 == 1 ? "udp" : "tcp";
  config.frags = round % 3 == 2;
  config.bypass_flows = static_cast<std::uint32_t>(4 + round / 20);
  config.rate_sources = round > 50 ? 64 : 0;
  config.more_addresses = static_cast<std::uint32_t>(round / 10);
  config.more_networks = round > 30 ? 4 : 0;
  return config;
}

// Bursts that the queue in front of the program holds: each is seen whole before the next one is sent.
class Sender {
 public:
  explicit Sender(bpf::RootProgram& root) : root_(root), thread_([this] { run(); }) {}
  ~Sender() { stop(); }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::uint64_t sent() const noexcept { return sent_; }
  std::uint64_t of_flow() const noexcept { return of_flow_; }

 private:
  void run() {
    const Frame frames[] = {udp_frame("10.0.0.1", "10.0.0.2", 1, 53), udp_frame("10.0.0.1", "10.0.0.2", 2, 53)};
    const FrameSender sender("veth_b");
    while (!stop_) {
      for (int i = 0; i < 64; ++i) sender.send(frames[i % 2]);
      sent_ += 64;
      of_flow_ += 32;
      await([&] { return root_.counters(0).xdp_seen >= sent_; });
    }
  }

  bpf::RootProgram& root_;
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint64_t> sent_ = 0, of_flow_ = 0;
  std::thread thread_;
};

class SwapWhileFramesArrive : public testing::TestWithParam<AttachRequest> {};

TEST_P(SwapWhileFramesArrive, LosesNoFrameAndNoCount) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto root = bpf::RootProgram::load(config_of_round(0));
  attach(root, GetParam());
  const root_flow flow = flow_of(udp_frame("10.0.0.1", "10.0.0.2", 1, 53)).value();
  ASSERT_EQ(root.bypass(flow), 0);
  Sender sender(root);
  for (int round = 1; round <= 100; ++round) {
    root.swap(config_of_round(round));
    const std::uint64_t before = root.counters(0).xdp_seen;
    await([&] { return root.counters(0).xdp_seen > before; });
  }
  sender.stop();
  const root_counters counters = root.counters(0);
  EXPECT_EQ(counters.xdp_seen, sender.sent());
  EXPECT_EQ(sum_of_verdicts(counters), sender.sent());
  EXPECT_EQ(counters.bypassed, sender.of_flow());
  EXPECT_GT(counters.passed, 0U) << "a filter said no";
  EXPECT_GT(counters.no_socket, 0U) << "a filter said yes, or there was none";
  root_flow_counters last = {};
  EXPECT_EQ(root.unbypass(flow, last), 0);
  EXPECT_EQ(last.packets, sender.of_flow()) << "through five larger lists";
}

INSTANTIATE_TEST_SUITE_P(Modes, SwapWhileFramesArrive, testing::Values(AttachRequest::native, AttachRequest::generic),
                         [](const auto& info) { return info.param == AttachRequest::native ? "Native" : "Generic"; });

TEST(Swap, BringsStagesInAndLeavesListsAndSocketsAlone) {
  NEEDS_ROOT();
  auto root = bpf::RootProgram::load({});
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1000, 53);
  const Frame other = udp_frame("10.0.0.3", "10.0.0.2", 1000, 53);
  EXPECT_EQ(run(root.program_fd(), frame), redirect);

  bpf::RootConfig config;
  bpf::add_block_entry("10.0.0.1", "test", config.block);
  config.bypass_flows = 1;
  config.rate_sources = 16;
  config.rate = {.max_pps = 1, .burst = 1};
  root.swap(config);
  EXPECT_EQ(run(root.program_fd(), frame), drop);
  EXPECT_EQ(run(root.program_fd(), other), redirect);
  EXPECT_EQ(root.bypass(flow_of(other).value()), 0);

  config = {};
  config.filter = "tcp";
  config.more_addresses = 100;
  config.bypass_flows = 100;
  root.swap(config);
  EXPECT_TRUE(root.has_filter_stage());
  EXPECT_EQ(run(root.program_fd(), frame), drop) << "a larger list with the same entries";
  EXPECT_EQ(run(root.program_fd(), other), pass) << "the flow is still bypassed";
  EXPECT_EQ(root.counters(0).bypassed, 1U);
  EXPECT_EQ(run(root.program_fd(), udp_frame("10.0.0.4", "10.0.0.2", 1, 2)), pass);
  EXPECT_EQ(root.counters(0).passed, 1U);
  root.set_filter("udp");
  EXPECT_EQ(run(root.program_fd(), udp_frame("10.0.0.5", "10.0.0.2", 1, 2)), redirect) << "the socket is still there";
  for (int i = 0; i < 50; ++i) run(root.program_fd(), udp_frame("10.0.0.5", "10.0.0.2", 1, 2));
  EXPECT_GT(root.counters(0).rate_limited, 0U) << "the limit too";

  root.swap({});
  EXPECT_FALSE(root.has_filter_stage());
  EXPECT_EQ(run(root.program_fd(), frame), drop);
  EXPECT_EQ(sum_of_verdicts(root.counters(0)), root.counters(0).xdp_seen);
}

TEST(Swap, LeavesTheOldProgramWhereItCannotBeDone) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  bpf::RootConfig config;
  config.filter = "udp";
  auto root = bpf::RootProgram::load(config);
  attach(root);
  const std::uint32_t before = root.program_id();
  config.filter = "no such thing";
  config.bypass_flows = 4;
  EXPECT_EQ(error_of([&] { root.swap(config); }).find("2: filter \"no such thing\""), 0U);
  EXPECT_EQ(root.program_id(), before);
  EXPECT_EQ(bpf::attached_program(if_nametoindex("veth_a"), "veth_a"), before);
  EXPECT_EQ(root.bypass(flow_of(udp_frame("10.0.0.1", "10.0.0.2", 1, 2)).value()), EBADF);
  config.filter = "tcp";
  EXPECT_EQ(error_of([&] { root.swap(config); }), "");
  EXPECT_NE(root.program_id(), before);
  EXPECT_EQ(bpf::attached_program(if_nametoindex("veth_a"), "veth_a"), root.program_id());
}

TEST(Swap, LeavesNoDescriptorsBehind) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  const auto open_fds = [] {
    const engine::UniqueFd probe(dup(0));
    return probe.get();
  };
  bpf::RootConfig config = config_of_round(99);
  config.hints = ROOT_HINT_ALL;
  auto root = bpf::RootProgram::load(config);
  attach(root);
  for (int round = 0; round < 4; ++round) root.swap(config);
  const int before = open_fds();  // the lowest free descriptor
  for (int round = 0; round < 20; ++round) root.swap(config);
  EXPECT_EQ(open_fds(), before);
}

TEST(Reattach, GoesOnWithMapsAndCountersWhenTheInterfaceIsBack) {
  NEEDS_ROOT();
  const Namespace space;
  bpf::RootConfig config;
  config.filter = "udp";
  config.bypass_flows = 4;
  config.hints = ROOT_HINT_ALL;
  auto root = bpf::RootProgram::load(config);
  const root_flow flow = flow_of(udp_frame("10.0.0.1", "10.0.0.2", 1, 53)).value();
  ASSERT_EQ(root.bypass(flow), 0);
  for (std::uint64_t round = 1; round <= 5; ++round) {
    make_veth(1);
    attach(root);
    EXPECT_EQ(root.attach_mode(), AttachMode::native);
    EXPECT_EQ(bpf::attached_program(if_nametoindex("veth_a"), "veth_a"), root.program_id());
    send_frame("veth_b", udp_frame("10.0.0.1", "10.0.0.2", 1, 53));
    await([&] { return root.counters(0).xdp_seen == round; });
    shell("ip link del veth_a");
  }
  root_flow_counters last = {};
  EXPECT_EQ(root.unbypass(flow, last), 0);
  EXPECT_EQ(last.packets, 5U);
  root.detach();
}

}  // namespace
