// Frames that are redirected and that no socket takes: counted by the tracepoint, on the slot they were sent to.
#include "bpf/redirect_errors.h"

#include <net/if.h>

#include <chrono>
#include <functional>

#include "bpf/root_program.h"
#include "tests/bpf/frames.h"

namespace {

using namespace bpf_test;

bool await(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition())
    if (std::chrono::steady_clock::now() > deadline) return false;
  return true;
}

struct Attached {
  bpf::RootProgram root;
  bpf::RedirectErrors errors;
};

Attached attach(bpf::AttachRequest request = bpf::AttachRequest::native) {
  make_veth(2);
  auto root = bpf::RootProgram::load({.queues = 2, .block = {}, .filter = {}});
  root.attach(if_nametoindex("veth_a"), "veth_a", request, bpf::Foreign::refuse);
  std::string reason;
  auto errors = bpf::RedirectErrors::open(root.socket_map_id(), 2, reason);
  EXPECT_TRUE(errors.has_value()) << reason;
  return {std::move(root), std::move(errors.value())};
}

TEST(RedirectErrors, CountsFramesForASocketThatIsNotBound) {
  NEEDS_ROOT();
  const Namespace space;
  Attached on = attach();
  const engine::UniqueFd socket = unbound_socket();
  on.root.set_socket(0, socket.get());
  on.root.set_socket(1, socket.get());
  for (int i = 0; i < 5; ++i) send_frame("veth_b", udp_frame("10.0.0.1", "10.0.0.2", 1, 2));
  EXPECT_TRUE(await([&] { return on.errors.count(0) + on.errors.count(1) == 5; }));
  EXPECT_EQ(on.root.counters(0).redirected, on.errors.count(0));
  EXPECT_EQ(on.root.counters(1).redirected, on.errors.count(1));
}

TEST(RedirectErrors, CountsFramesForASocketOfAnotherQueue) {
  NEEDS_ROOT();
  const Namespace space;
  Attached on = attach();
  const unsigned ifindex = if_nametoindex("veth_a");
  const BoundSocket zero(ifindex, 0), one(ifindex, 1);
  on.root.set_socket(0, one.fd());
  on.root.set_socket(1, zero.fd());
  for (int i = 0; i < 5; ++i) send_frame("veth_b", udp_frame("10.0.0.1", "10.0.0.2", 1, 2));
  EXPECT_TRUE(await([&] { return on.errors.count(0) + on.errors.count(1) == 5; }));
}

TEST(RedirectErrors, CountsThemInGenericModeToo) {
  NEEDS_ROOT();
  const Namespace space;
  Attached on = attach(bpf::AttachRequest::generic);
  const unsigned ifindex = if_nametoindex("veth_a");
  const BoundSocket zero(ifindex, 0), one(ifindex, 1);
  on.root.set_socket(0, one.fd());
  on.root.set_socket(1, zero.fd());
  for (int i = 0; i < 5; ++i) send_frame("veth_b", udp_frame("10.0.0.1", "10.0.0.2", 1, 2));
  EXPECT_TRUE(await([&] { return on.errors.count(0) + on.errors.count(1) == 5; }));
}

TEST(RedirectErrors, LeavesTheErrorsThatASocketCountsToTheSocket) {
  NEEDS_ROOT();
  const Namespace space;
  Attached on = attach();
  const unsigned ifindex = if_nametoindex("veth_a");
  const BoundSocket zero(ifindex, 0), one(ifindex, 1);  // their fill rings are empty: ENOMEM, in rx_dropped
  on.root.set_socket(0, zero.fd());
  on.root.set_socket(1, one.fd());
  for (int i = 0; i < 5; ++i) send_frame("veth_b", udp_frame("10.0.0.1", "10.0.0.2", 1, 2));
  EXPECT_TRUE(await([&] { return on.root.counters(0).redirected + on.root.counters(1).redirected == 5; }));
  EXPECT_EQ(on.errors.count(0) + on.errors.count(1), 0U);
}

TEST(RedirectErrors, AreAbsentWithTheReasonWhereTheyMayNotBeCounted) {
  NEEDS_ROOT();
  EXPECT_EXIT(
      {
        std::string reason;
        const bool dropped = drop_capabilities({CAP_PERFMON, CAP_SYS_ADMIN});
        const bool absent = !bpf::RedirectErrors::open(1, 1, reason).has_value();
        std::exit(dropped && absent && reason.find("missing CAP_PERFMON") != std::string::npos ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
