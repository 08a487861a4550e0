// The program that loses a frame on purpose does lose one, and the root's counters show it.
#include "tests/bpf/lossy.h"

#include <linux/bpf.h>
#include <net/if.h>

#include "tests/bpf/frames.h"

namespace {

using namespace bpf_test;

TEST(Lossy, LosesOneFrameThatNoVerdictCounts) {
  NEEDS_ROOT();
  Lossy lossy(1, 0, LOSE_AFTER_SEEN);
  const bpf::RootProgram root(lossy.take_fds(), 1);
  const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1, 2);
  for (int i = 0; i < 5; ++i) {
    if (i == 2) lossy.lose_one();
    EXPECT_EQ(run(root.program_fd(), frame), static_cast<std::uint32_t>(i == 2 ? XDP_DROP : XDP_PASS));
  }
  EXPECT_TRUE(lossy.has_lost());
  EXPECT_EQ(root.counters(0).xdp_seen, 5U);
  EXPECT_EQ(sum_of_verdicts(root.counters(0)), 4U);
}

TEST(Lossy, LosesOneFrameThatCountsAsRedirected) {
  NEEDS_ROOT();
  Lossy lossy(1, 0, LOSE_AFTER_REDIRECTED);
  bpf::RootProgram root(lossy.take_fds(), 1);
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1, 2);
  lossy.lose_one();
  EXPECT_EQ(run(root.program_fd(), frame), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run(root.program_fd(), frame), static_cast<std::uint32_t>(XDP_REDIRECT));
  EXPECT_EQ(root.counters(0).redirected, 2U);
  EXPECT_EQ(sum_of_verdicts(root.counters(0)), root.counters(0).xdp_seen);
}

TEST(Lossy, AttachesInPlaceOfTheRootProgramFromReadyDescriptors) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(2);
  Lossy lossy(2, 1, LOSE_AFTER_SEEN);
  bpf::RootProgram root(lossy.take_fds(), 2);
  root.attach(if_nametoindex("veth_a"), "veth_a", bpf::AttachRequest::native, bpf::Foreign::refuse);
  EXPECT_EQ(root.attach_mode(), bpf::AttachMode::native);
  EXPECT_EQ(shown_mode("veth_a"), "native");
}

}  // namespace
