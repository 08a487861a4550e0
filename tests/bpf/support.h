// What the tests of bpf/ share: a network namespace of their own with a veth pair, AF_XDP sockets, one-frame runs.
#pragma once

#include <gtest/gtest.h>
#include <sys/capability.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "bpf/root_program.h"
#include "engine/base/unique_fd.h"

namespace bpf_test {

using Frame = std::vector<std::uint8_t>;

bool may_load_programs();  // CAP_BPF and CAP_NET_ADMIN

// Gives up capabilities for good; for death tests.
bool drop_capabilities(std::initializer_list<cap_value_t> values);

// First line of each test that needs them.
#define NEEDS_ROOT() \
  if (!bpf_test::may_load_programs()) GTEST_SKIP() << "needs root: CAP_BPF, CAP_NET_ADMIN"

// A namespace without a name: it and all devices in it go with the process, also if the test fails or is killed.
class Namespace {
 public:
  Namespace();
  ~Namespace();  // back to the one before
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;

 private:
  engine::UniqueFd before_;
};

void shell(const std::string& command);  // fails the test if the command fails

// veth_a and veth_b, up, with this many queues each way.
void make_veth(unsigned queues);

// What the kernel says is on the interface: "native", "generic" or "none", by `ip link`.
std::string shown_mode(const std::string& ifname);

// An AF_XDP socket that may stand in a socket map but is bound to nothing.
engine::UniqueFd unbound_socket();

// An AF_XDP socket bound to a queue in copy mode, with its own small packet memory.
class BoundSocket {
 public:
  BoundSocket(unsigned ifindex, std::uint32_t queue);
  ~BoundSocket();
  int fd() const noexcept { return fd_.get(); }

 private:
  void* memory_;
  engine::UniqueFd fd_;
};

// Sends by AF_PACKET. The kernel may lose frames behind it without a word: in veth's ring, in a backlog. To close such
// a socket takes it some milliseconds: for many frames keep one.
class FrameSender {
 public:
  explicit FrameSender(const std::string& ifname);
  void send(const Frame& frame) const;

 private:
  engine::UniqueFd fd_;
};

void send_frame(const std::string& ifname, const Frame& frame);

// Runs a program over one frame; its return code. `frame` has 14 bytes at least: fewer are EINVAL to the kernel.
std::uint32_t run(int program_fd, std::span<const std::uint8_t> frame);

// Mean ns of `repeat` runs over one frame, by the kernel's own clock.
double run_ns(int program_fd, std::span<const std::uint8_t> frame, std::uint32_t repeat);

// The message of the SetupError that `step` throws, with its exit code: "4: attach to ...". Empty if it throws none.
std::string error_of(const std::function<void()>& step);

// A map that the program uses, by its name or by its type; invalid if there is none.
engine::UniqueFd map_named(const bpf::RootProgram& root, const std::string& name);
engine::UniqueFd map_of(const bpf::RootProgram& root, std::uint32_t type);

std::uint64_t sum_of_verdicts(const root_counters& counters);

}  // namespace bpf_test
