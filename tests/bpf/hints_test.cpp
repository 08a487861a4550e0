// What the driver knows about a frame, as the socket's reader finds it. On veth: it knows a hash of frames that come
// from a stack, answers 0 for the time, and leaves VLAN tags in the frame.
#include "bpf/hints.h"

#include <net/if.h>
#include <poll.h>

#include "bpf/root_program.h"
#include "tests/bpf/frames.h"
#include "tests/xsk/sockets.h"
#include "xsk/link.h"

namespace {

using namespace bpf_test;
using bpf::AttachMode;
using bpf::AttachRequest;
using bpf::Foreign;

bpf::RootConfig with_hints(std::uint32_t hints) {
  bpf::RootConfig config;
  config.hints = hints;
  return config;
}

void attach(bpf::RootProgram& root, AttachRequest request = AttachRequest::native) {
  root.attach(if_nametoindex("veth_a"), "veth_a", request, Foreign::refuse);
}

// A socket in the root's slot of queue 0, and what came in.
class Receiver {
 public:
  explicit Receiver(bpf::RootProgram& root)
      : socket_(xsk::Socket::open(xsk::test::receiving(xsk::read_link("veth_a"), 0, memory_))) {
    root.set_socket(0, socket_.fd());
  }

  // Whether the next packet came with hints, which are in `hints` then. Looks twice: they are taken once.
  bool next_has_hints(root_hints& hints) {
    pollfd readable{socket_.fd(), POLLIN, 0};
    EXPECT_EQ(poll(&readable, 1, 30'000), 1);
    const xsk::RxBatch batch = socket_.rx_queue().receive(1);
    EXPECT_EQ(batch.size(), 1U);
    if (batch.empty()) return false;
    std::byte* const frame = memory_.bytes().data() + batch[0].offset;
    const bool has = bpf::take_hints(frame, hints);
    root_hints again;
    EXPECT_FALSE(bpf::take_hints(frame, again));
    return has;
  }

 private:
  xsk::test::Memory memory_;
  xsk::Socket socket_;
};

Frame frame_to_a_port(std::uint16_t port) { return udp_frame("10.0.0.1", "10.0.0.2", 1000, port); }

TEST(Hints, ComeWithTheFrameAndOnlyThoseThatTheDriverKnows) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto root = bpf::RootProgram::load(with_hints(ROOT_HINT_ALL));
  attach(root);
  if (root.hints() == 0) GTEST_SKIP() << "no hints here: " << root.hints_refusal();
  EXPECT_EQ(root.hints_refusal(), "");
  EXPECT_EQ(bpf::attached_program(if_nametoindex("veth_a"), "veth_a"), root.program_id());
  Receiver receiver(root);
  const FrameSender sender("veth_b");
  for (std::uint16_t port = 1; port <= 300; ++port) {  // each place in the memory is used more than once
    sender.send(frame_to_a_port(port));
    root_hints hints = {};
    ASSERT_TRUE(receiver.next_has_hints(hints)) << port;
    EXPECT_EQ(hints.valid & ROOT_HINT_TIMESTAMP, 0U) << "a time of 0 is none";
    EXPECT_EQ(hints.valid & ROOT_HINT_VLAN, 0U);
    EXPECT_EQ((hints.valid & ROOT_HINT_HASH) != 0, hints.rx_hash != 0);
  }
  EXPECT_EQ(root.counters(0).redirected, 300U);
}

TEST(Hints, AreTheFlowsHashWhereTheSenderHasOne) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  shell("ip addr add 10.9.0.1/24 dev veth_b");
  shell("ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev veth_b");
  bpf::RootConfig config = with_hints(ROOT_HINT_HASH);
  config.filter = "udp";
  auto root = bpf::RootProgram::load(config);
  attach(root);
  if (root.hints() == 0) GTEST_SKIP() << "no hints here: " << root.hints_refusal();
  Receiver receiver(root);
  // Sent by the stack: a UDP socket's frames carry their flow's hash.
  shell("bash -c 'exec 3>/dev/udp/10.9.0.2/53; echo a >&3; echo b >&3'");
  root_hints first = {}, second = {};
  ASSERT_TRUE(receiver.next_has_hints(first));
  ASSERT_TRUE(receiver.next_has_hints(second));
  EXPECT_EQ(first.valid, static_cast<std::uint32_t>(ROOT_HINT_HASH));
  EXPECT_NE(first.rx_hash, 0U);
  EXPECT_EQ(first.rx_hash, second.rx_hash);
}

TEST(Hints, StayWithTheFilterAndThroughASwap) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  bpf::RootConfig config = with_hints(ROOT_HINT_ALL);
  config.filter = "udp port 53";
  auto root = bpf::RootProgram::load(config);
  attach(root);
  if (root.hints() == 0) {
    EXPECT_NE(root.hints_refusal(), "") << "the filter is not given up for them";
    GTEST_SKIP() << "no hints here: " << root.hints_refusal();
  }
  Receiver receiver(root);
  const FrameSender sender("veth_b");
  root_hints hints = {};
  sender.send(frame_to_a_port(54));
  sender.send(frame_to_a_port(53));
  EXPECT_TRUE(receiver.next_has_hints(hints));
  EXPECT_EQ(root.counters(0).passed, 1U);

  root.set_filter("udp port 54");
  sender.send(frame_to_a_port(54));
  EXPECT_TRUE(receiver.next_has_hints(hints));

  config.bypass_flows = 4;
  config.frags = true;
  root.swap(config);
  ASSERT_NE(root.hints(), 0U) << root.hints_refusal();
  EXPECT_EQ(bpf::attached_program(if_nametoindex("veth_a"), "veth_a"), root.program_id());
  sender.send(frame_to_a_port(53));
  EXPECT_TRUE(receiver.next_has_hints(hints));

  config.hints = 0;
  root.swap(config);
  EXPECT_EQ(root.hints(), 0U);
  for (int i = 0; i < 300; ++i) {
    sender.send(frame_to_a_port(53));
    EXPECT_FALSE(receiver.next_has_hints(hints)) << "what earlier frames left was wiped out, frame " << i;
  }
}

TEST(Hints, AreGivenUpInGenericModeAndTheReasonIsKept) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto root = bpf::RootProgram::load(with_hints(ROOT_HINT_ALL));
  EXPECT_EQ(root.hints(), 0U) << "not attached";
  attach(root, AttachRequest::generic);
  EXPECT_EQ(root.attach_mode(), AttachMode::generic);
  EXPECT_EQ(root.hints(), 0U);
  EXPECT_EQ(root.hints_refusal(), "only native XDP has them");
  attach(root);
  EXPECT_TRUE(root.hints() != 0 || !root.hints_refusal().empty());
}

TEST(Hints, AreNotAskedForWhereNobodyWantsThem) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto root = bpf::RootProgram::load({});
  attach(root);
  EXPECT_EQ(root.hints(), 0U);
  EXPECT_EQ(root.hints_refusal(), "");
}

}  // namespace
