// A network namespace of the test's own with a veth pair in it, for tests that need root.
//
// The namespace has no name and no file: it goes with the last thread or descriptor that holds it, also if the test
// fails or is killed, and takes the interfaces along.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <string>

#include "engine/base/unique_fd.h"
#include "xsk/link.h"

namespace xsk::test {

class Lab : public ::testing::Test {
 protected:
  static constexpr int queues = 4;

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: CAP_SYS_ADMIN and CAP_NET_ADMIN for a network namespace";
    home_.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(home_.valid());
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs root: CAP_SYS_ADMIN for a network namespace";
    away_ = true;
    const std::string n = std::to_string(queues);
    near_ = "near" + std::to_string(::getpid());
    far_ = "far" + std::to_string(::getpid());
    ASSERT_TRUE(run("ip link add " + near_ + " numrxqueues 8 numtxqueues 8 type veth peer name " + far_ +
                    " numrxqueues 8 numtxqueues 8"));
    for (const std::string& name : {near_, far_}) {
      ASSERT_TRUE(run("ethtool -L " + name + " rx " + n + " tx " + n));
      // Router solicitations would be counted as packets.
      std::ofstream("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6") << 1;
      ASSERT_TRUE(run("ip link set " + name + " up"));
    }
  }

  void TearDown() override {
    if (away_) {
      EXPECT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
    }
  }

  // Children inherit the calling thread's namespace.
  static bool run(const std::string& command) {
    const int status = std::system((command + " >/dev/null").c_str());
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  // Sends n frames of 60 bytes through the stack's transmit path, to nobody.
  static void send_frames(const std::string& name, int n) {
    const engine::UniqueFd raw(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(read_link(name).ifindex);
    const std::array<char, 60> frame{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, char(0x88), char(0xb5)};  // local experimental
    for (int i = 0; i < n; ++i)
      ASSERT_EQ(::sendto(raw.get(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
                static_cast<ssize_t>(frame.size()));
  }

  const std::string& near() const noexcept { return near_; }  // the interface that is captured from
  const std::string& far() const noexcept { return far_; }    // its peer

 private:
  engine::UniqueFd home_;
  bool away_ = false;
  std::string near_;
  std::string far_;
};

}  // namespace xsk::test
