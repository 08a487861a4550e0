// The root program's filter exchanged while frames arrive: each frame is judged, and counted, by the old or the new
// one.
#include <net/if.h>

#include <atomic>
#include <thread>
#include <vector>

#include "bpf/root_program.h"
#include "tests/bpf/frames.h"

namespace {

using namespace bpf_test;

TEST(FilterSwap, LosesNoFrameAtTheProgramsFullRate) {
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

// Over a wire, with plugins' filters, single and in unions; from time to time one that libpcap refuses.
TEST(FilterSwap, LosesNoFrameOfASender) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  const bpf::FilterExpression udp("udp"), tcp("tcp"), bad("udp prt 53");
  bpf::FilterExpression unions = "ip";
  unions.any_of = {"vlan 5 and udp", "udp port 53"};
  bpf::RootConfig config;
  config.filter = udp;
  auto root = bpf::RootProgram::load(config);
  const BoundSocket socket(if_nametoindex("veth_b"), 0);
  root.attach(if_nametoindex("veth_b"), "veth_b", bpf::AttachRequest::native, bpf::Foreign::refuse);
  root.set_socket(0, socket.fd());
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> sent = 0;
  std::thread traffic([&] {
    const FrameSender sender("veth_a");
    const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1, 53);
    while (!stop.load(std::memory_order_relaxed)) {
      for (int i = 0; i < 100; ++i, ++sent) sender.send(frame);
      while (root.counters(0).xdp_seen < sent) std::this_thread::yield();  // or veth's ring of 256 overflows
    }
  });
  const std::vector<const bpf::FilterExpression*> filters = {&tcp, &udp, &unions, &bad};
  for (std::size_t swaps = 0; swaps < 100'000; ++swaps) {
    const bpf::FilterExpression& next = *filters[swaps % filters.size()];
    EXPECT_EQ(error_of([&] { root.set_filter(next); }).empty(), &next != &bad);
    const root_counters now = root.counters(0);
    if (swaps >= 200 && now.passed > 0 && now.redirected > 0) break;
  }
  stop = true;
  traffic.join();
  const root_counters counters = root.counters(0);
  EXPECT_EQ(counters.xdp_seen, sent);
  EXPECT_EQ(counters.xdp_seen, counters.passed + counters.redirected);
  EXPECT_GT(counters.passed, 0U);
  EXPECT_GT(counters.redirected, 0U);
  root.clear_socket(0);
  root.detach();
}

}  // namespace
