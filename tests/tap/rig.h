// A sender and a tap with its filter, at the two ends of a veth pair.
#pragma once

#include <gtest/gtest.h>
#include <linux/if_packet.h>

#include <cstring>
#include <string>
#include <vector>

#include "bpf/tap_filter.h"
#include "engine/gen/frame.h"
#include "engine/tap/packet_socket.h"
#include "tests/xsk/lab.h"

namespace engine::tap_test {

using Bytes = std::vector<std::byte>;

Bytes udp(std::uint32_t flow = 0, gen::VlanTags vlans = {}, std::uint16_t size = 100);
Bytes answer(Bytes bytes);  // the same packet on its way back

// Sends what it is given, as it is.
class Sender {
 public:
  explicit Sender(const std::string& interface) : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    to_.sll_family = AF_PACKET;
    to_.sll_ifindex = static_cast<int>(xsk::read_link(interface).ifindex);
  }
  void send(const Bytes& bytes) {
    if (::sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) ==
        static_cast<ssize_t>(bytes.size()))
      ++sent_;
  }
  std::uint64_t sent() const noexcept { return sent_; }

 private:
  UniqueFd fd_;
  sockaddr_ll to_{};
  std::uint64_t sent_ = 0;
};

struct Seen {
  Bytes bytes;
  TappedFrame frame;
};

PacketSocketConfig config_for(const std::string& interface);  // with the smallest ring

// A socket with its filter, as the capture has them.
class Tap {
 public:
  explicit Tap(const PacketSocketConfig& config)
      : socket(PacketSocket::open(config)), counted(config.ignore_outgoing) {}

  void start(const char* filter = "") { socket.accept_by(counted.load(filter).get()); }
  void start_unfiltered() { socket.accept_all(); }
  void stop() {
    socket.reject_all();
    fence_.wait();
    EXPECT_TRUE(wait_for_last_block(socket.queue()));
  }
  std::vector<Seen> take() {
    std::vector<Seen> all;
    for (;;) {
      const PacketBatch batch = socket.queue().receive(64);
      if (batch.empty()) return all;
      for (std::uint32_t i = 0; i < batch.size(); ++i) {
        const std::byte* at = socket.frames() + batch[i].offset;
        all.push_back({{at, at + batch[i].caplen}, batch[i]});
      }
    }
  }
  // What the four parties say, closed: the program, the socket, the ring's blocks, the reader.
  void expect_closed(std::uint64_t taken) {
    const bpf::TapCounters program = counted.counters();
    EXPECT_EQ(program.seen, program.accepted + program.rejected);
    EXPECT_EQ(program.accepted, socket.statistics().accepted);
    expect_ring_closed(taken);
  }
  void expect_ring_closed(std::uint64_t taken) {
    const PacketStatistics statistics = socket.statistics();
    EXPECT_EQ(statistics.accepted, statistics.rx_packets + statistics.rx_dropped);
    EXPECT_EQ(statistics.rx_packets, taken);
  }

  PacketSocket socket;
  bpf::TapFilter counted;

 private:
  ReceiverFence fence_;
};

}  // namespace engine::tap_test
