// The filter of an AF_PACKET socket over a real one, at the end of a veth pair: the kernel takes the outer VLAN tag out
// of the frame, and the answer is still that of libpcap's interpreter over the frame as it was sent.
#include "bpf/tap_filter.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <thread>

#include "tests/bpf/filter_texts.h"
#include "tests/bpf/frames.h"
#include "tests/bpf/pcap_oracle.h"

namespace {

using namespace bpf_test;

bool is_tagged(const Frame& frame) {
  const int type = frame[12] << 8 | frame[13];
  return type == 0x8100 || type == 0x88a8;
}

// The kernel drops a frame whose tag or what is behind it is cut off (net/core/skbuff.c: skb_vlan_untag).
bool reaches_a_tap(const Frame& frame) { return !is_tagged(frame) || frame.size() >= 20; }

// A veth pair, with a sender at one end and a tap with its filter at the other.
struct Pair {
  Namespace space;
  bpf::TapFilter filter;
  engine::UniqueFd receiver;
  std::optional<FrameSender> sender;

  explicit Pair(const char* text) : receiver(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    make_veth(1);
    shell("ip link set veth_a mtu 9000 && ip link set veth_b mtu 9000");
    apply(text);
    sockaddr_ll address = {};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex("veth_b"));
    EXPECT_EQ(bind(receiver.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << strerror(errno);
    sender.emplace("veth_a");
  }

  void apply(const bpf::FilterExpression& wanted) {
    const engine::UniqueFd program = filter.load(wanted);
    const int fd = program.get();
    ASSERT_EQ(setsockopt(receiver.get(), SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof fd), 0) << strerror(errno);
  }

  // Whether the frame gets to the socket.
  bool takes(const Frame& frame) {
    const bpf::TapCounters before = filter.counters();
    sender->send(frame);
    bpf::TapCounters after = filter.counters();
    while (after.seen == before.seen || after.accepted + after.rejected != after.seen) after = filter.counters();
    EXPECT_EQ(after.seen, before.seen + 1);
    const bool accepted = after.accepted != before.accepted;
    // It is counted before it is in the socket's queue.
    EXPECT_EQ(recv(receiver.get(), nullptr, 0, accepted ? 0 : MSG_DONTWAIT) >= 0, accepted);
    return accepted;
  }
};

TEST(TapFilter, MeansWhatItMeansToLibpcapAlsoForFramesWhoseTagIsRemoved) {
  NEEDS_ROOT();
  Pair pair("");
  std::mt19937_64 random(11);
  std::uint64_t tagged = 0;
  for (const char* text : filter_texts()) {
    pair.apply(text);
    const PcapFilter oracle(text);
    for (int i = 0; i < 400; ++i) {
      const Frame frame = random_frame(random);
      if (!reaches_a_tap(frame)) continue;
      tagged += is_tagged(frame);
      ASSERT_EQ(pair.takes(frame), oracle.matches(frame)) << text << ": " << testing::PrintToString(frame);
    }
  }
  EXPECT_GT(tagged, 100 * filter_texts().size());
}

// Loads that begin in front of the tag, in it, or end behind it, by constant and by index.
TEST(TapFilter, ReadsAcrossTheRemovedTag) {
  NEEDS_ROOT();
  Pair pair("");
  const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1000, 53, {0x6005});
  const PcapFilter all("");
  for (const char* size : {"1", "2", "4"}) {
    for (std::size_t offset = 6; offset < 20; ++offset) {
      std::uint64_t value = 0;
      for (int byte = 0; byte < *size - '0'; ++byte)
        value = value << 8 | frame[offset + static_cast<std::size_t>(byte)];
      const std::string by_index = "len - " + std::to_string(frame.size() - offset);
      for (const std::string& place : {std::to_string(offset), by_index}) {
        const std::string text = "ether[" + place + ":" + size + "] = " + std::to_string(value);
        pair.apply(text);
        EXPECT_TRUE(PcapFilter(text).matches(frame)) << text;
        EXPECT_TRUE(pair.takes(frame)) << text;
        pair.apply("not " + text);
        EXPECT_FALSE(pair.takes(frame)) << text;
      }
    }
  }
}

TEST(TapFilter, SeesALengthWithTheTag) {
  NEEDS_ROOT();
  Pair pair("len = 64");
  EXPECT_TRUE(pair.takes(udp_frame("10.0.0.1", "10.0.0.2", 1, 2)));
  EXPECT_TRUE(pair.takes(udp_frame("10.0.0.1", "10.0.0.2", 1, 2, {5})));
  EXPECT_TRUE(pair.takes(udp_frame("10.0.0.1", "10.0.0.2", 1, 2, {5, 6})));
  pair.apply("greater 8000");
  Frame jumbo = udp_frame("10.0.0.1", "10.0.0.2", 1, 2);
  EXPECT_FALSE(pair.takes(jumbo));
  jumbo.resize(9000);
  EXPECT_TRUE(pair.takes(jumbo));
}

TEST(TapFilter, IsSwappedWhileFramesArriveWithoutLosingOne) {
  NEEDS_ROOT();
  Pair pair("udp");
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> sent = 0;
  std::thread traffic([&] {
    const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1, 53);
    while (!stop.load(std::memory_order_relaxed)) {
      for (int i = 0; i < 200; ++i, ++sent) pair.sender->send(frame);
      while (pair.filter.counters().seen < sent) std::this_thread::yield();  // what the queue before it holds
    }
  });
  for (int swaps = 0; swaps < 100'000; ++swaps) {
    pair.apply(swaps % 2 == 0 ? "tcp" : "udp");
    const bpf::TapCounters now = pair.filter.counters();
    if (swaps >= 100 && now.accepted > 0 && now.rejected > 0) break;
  }
  stop = true;
  traffic.join();
  const bpf::TapCounters counters = pair.filter.counters();
  EXPECT_EQ(counters.seen, sent);
  EXPECT_EQ(counters.seen, counters.accepted + counters.rejected);
  EXPECT_GT(counters.accepted, 0U);
  EXPECT_GT(counters.rejected, 0U);
}

TEST(TapFilter, KeepsTheOldOneWhenTheNewOneIsBad) {
  NEEDS_ROOT();
  Pair pair("udp");
  EXPECT_EQ(error_of([&] { pair.apply("inbound"); }).find("2: filter \"inbound\": asks for"), 0U);
  EXPECT_TRUE(pair.takes(udp_frame("10.0.0.1", "10.0.0.2", 1, 2)));
}

TEST(TapFilterDeathTest, NamesTheCapabilityThatIsMissing) {
  NEEDS_ROOT();
  EXPECT_EXIT(
      {
        drop_capabilities({CAP_BPF, CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_PERFMON});
        const std::string error = error_of([] { bpf::TapFilter(); });
        std::fprintf(stderr, "%s\n", error.c_str());
        _exit(error.find("CAP_BPF") != std::string::npos ? 0 : 1);
      },
      testing::ExitedWithCode(0), "missing CAP_BPF");
}

}  // namespace
