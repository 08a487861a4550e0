// Attaching: the mode that was obtained, programs of others, and what is left when the process is gone.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "bpf/options.h"
#include "bpf/root_program.h"
#include "tests/bpf/frames.h"

namespace {

using namespace bpf_test;
using bpf::AttachMode;
using bpf::AttachRequest;
using bpf::Foreign;

unsigned index_of(const char* name) { return if_nametoindex(name); }

std::string attach_error(bpf::RootProgram& root, const char* name, AttachRequest request,
                         Foreign foreign = Foreign::refuse) {
  return error_of([&] { root.attach(index_of(name), name, request, foreign); });
}

// A program of somebody else, named as bpftool would show it.
engine::UniqueFd foreign_program() {
  bpf_insn code[2] = {};
  code[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  code[0].imm = XDP_PASS;
  code[1].code = BPF_JMP | BPF_EXIT;
  bpf::Options<bpf_prog_load_opts> options;
  options.expected_attach_type = BPF_XDP;
  return engine::UniqueFd(bpf_prog_load(BPF_PROG_TYPE_XDP, "someone_else", "MIT", code, 2, &options));
}

TEST(Attach, IsNativeOnVeth) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(4);
  auto root = bpf::RootProgram::load({.queues = 4, .block = {}, .filter = {}});
  EXPECT_EQ(root.attach_mode(), AttachMode::detached);
  EXPECT_EQ(attach_error(root, "veth_a", AttachRequest::automatic), "");
  EXPECT_EQ(root.attach_mode(), AttachMode::native);
  EXPECT_EQ(root.fallback_reason(), "");
  EXPECT_EQ(shown_mode("veth_a"), "native");
  EXPECT_EQ(bpf::attached_program(index_of("veth_a"), "veth_a"), root.program_id());
  root.detach();
  root.detach();
  EXPECT_EQ(root.attach_mode(), AttachMode::detached);
  EXPECT_EQ(shown_mode("veth_a"), "none");
}

TEST(Attach, IsGenericWhereItWasAskedFor) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto root = bpf::RootProgram::load({});
  EXPECT_EQ(attach_error(root, "veth_a", AttachRequest::generic), "");
  EXPECT_EQ(root.attach_mode(), AttachMode::generic);
  EXPECT_EQ(shown_mode("veth_a"), "generic");
}

TEST(Attach, FallsBackToGenericAndKeepsTheReason) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  shell("ip link add link veth_a name macvlan_a type macvlan && ip link set macvlan_a up");
  auto root = bpf::RootProgram::load({});
  EXPECT_EQ(attach_error(root, "macvlan_a", AttachRequest::automatic), "");
  EXPECT_EQ(root.attach_mode(), AttachMode::generic);
  EXPECT_EQ(root.fallback_reason().find("Operation not supported"), 0U) << root.fallback_reason();
  EXPECT_EQ(shown_mode("macvlan_a"), "generic");
}

TEST(Attach, FallsBackWhereFramesAreTooLongOrQueuesTooFewForNative) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto root = bpf::RootProgram::load({});
  shell("ip link set veth_b mtu 9000 && ip link set veth_a mtu 9000");
  EXPECT_EQ(attach_error(root, "veth_a", AttachRequest::automatic), "");
  EXPECT_EQ(root.attach_mode(), AttachMode::generic);
  EXPECT_NE(root.fallback_reason().find("MTU"), std::string::npos) << root.fallback_reason();

  shell("ip link add few numrxqueues 1 numtxqueues 1 type veth peer name many numrxqueues 4 numtxqueues 4");
  shell("ip link set few up && ip link set many up");
  EXPECT_EQ(attach_error(root, "few", AttachRequest::automatic), "");
  EXPECT_EQ(root.attach_mode(), AttachMode::generic);
  EXPECT_NE(root.fallback_reason().find("fewer receive queues"), std::string::npos) << root.fallback_reason();
  EXPECT_EQ(shown_mode("veth_a"), "none") << "attaching elsewhere leaves the first interface";
}

TEST(Attach, SaysWhichCapabilityTakesAForeignProgramByLinkAway) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto root = bpf::RootProgram::load({});
  auto other = bpf::RootProgram::load({});
  ASSERT_EQ(attach_error(other, "veth_a", AttachRequest::automatic), "");
  EXPECT_EXIT(
      {
        const bool dropped = drop_capabilities({CAP_SYS_ADMIN});
        const std::string error = attach_error(root, "veth_a", AttachRequest::automatic, Foreign::replace);
        const std::string expected = "3: remove program " + std::to_string(other.program_id()) +
                                     " from veth_a: it is held by a bpf_link, which takes CAP_SYS_ADMIN to open";
        std::exit(dropped && error.find(expected) == 0 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EQ(bpf::attached_program(index_of("veth_a"), "veth_a"), other.program_id());
}

TEST(Attach, ReplacesAForeignProgramByNetlinkWithoutSysAdmin) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto root = bpf::RootProgram::load({});
  const engine::UniqueFd other = foreign_program();
  ASSERT_EQ(bpf_xdp_attach(static_cast<int>(index_of("veth_a")), other.get(), XDP_FLAGS_SKB_MODE, nullptr), 0);
  EXPECT_EXIT(
      {
        const bool dropped = drop_capabilities({CAP_SYS_ADMIN});
        const std::string error = attach_error(root, "veth_a", AttachRequest::automatic, Foreign::replace);
        std::exit(dropped && error.empty() && root.attach_mode() == AttachMode::native ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(Attach, SwapsFilterSocketsAndDetachesWithoutCapabilitiesAsFarAsTheKernelAllows) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  bpf::RootConfig config;
  config.filter = "udp";
  auto root = bpf::RootProgram::load(config);
  ASSERT_EQ(attach_error(root, "veth_a", AttachRequest::automatic), "");
  const engine::UniqueFd socket = unbound_socket();
  EXPECT_EXIT(
      {
        const bool dropped = drop_capabilities({CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_NET_RAW});
        root.set_socket(0, socket.get());
        root.clear_socket(0);
        const bool counted = sum_of_verdicts(root.counters(0)) == root.counters(0).xdp_seen;
        root.detach();
        const std::string error = error_of([&] { root.set_filter("tcp"); });
        std::exit(dropped && counted && error.find("3: load the filter") == 0 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EQ(shown_mode("veth_a"), "none") << "detached through the link, though its descriptor is still open here";
}

TEST(Attach, DoesNotFallBackWhenNativeWasForced) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  shell("ip link add link veth_a name macvlan_a type macvlan && ip link set macvlan_a up");
  auto root = bpf::RootProgram::load({});
  EXPECT_EQ(
      attach_error(root, "macvlan_a", AttachRequest::native).find("4: attach natively to macvlan_a: Operation not"),
      0U);
  EXPECT_EQ(shown_mode("macvlan_a"), "none");
}

TEST(Attach, SeesTheFramesThatArriveOnEachQueue) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(2);
  auto root = bpf::RootProgram::load({.queues = 2, .block = {}, .filter = {}});
  ASSERT_EQ(attach_error(root, "veth_a", AttachRequest::native), "");
  for (std::uint16_t port = 0; port < 64; ++port) send_frame("veth_b", udp_frame("10.0.0.1", "10.0.0.2", port, 53));
  const auto seen = [&](std::uint32_t queue) { return root.counters(queue).xdp_seen; };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (seen(0) + seen(1) < 64 && std::chrono::steady_clock::now() < deadline) {
  }
  EXPECT_EQ(seen(0) + seen(1), 64U);
  EXPECT_GT(seen(0), 0U);
  EXPECT_GT(seen(1), 0U);
}

TEST(Attach, LetsFramesPassUnseenWhileTheDriverKeepsItsXdp) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto root = bpf::RootProgram::load({});
  ASSERT_EQ(attach_error(root, "veth_a", AttachRequest::native), "");
  root.prepare_pass();
  root.pass();
  EXPECT_EQ(root.attach_mode(), AttachMode::native);
  EXPECT_EQ(shown_mode("veth_a"), "native");
  EXPECT_NE(bpf::attached_program(index_of("veth_a"), "veth_a"), root.program_id());
  root.detach();
  EXPECT_EQ(shown_mode("veth_a"), "none");

  ASSERT_EQ(attach_error(root, "veth_a", AttachRequest::native), "");
  root.pass();  // nothing was prepared for this attachment
  EXPECT_EQ(shown_mode("veth_a"), "none");
}

TEST(Attach, SaysThatAnInterfaceIsNotThere) {
  NEEDS_ROOT();
  auto root = bpf::RootProgram::load({});
  EXPECT_EQ(error_of([&] { root.attach(9999, "eth77", AttachRequest::automatic, Foreign::refuse); }).find("4: "), 0U);
}

class ForeignProgram : public testing::TestWithParam<std::string> {};

TEST_P(ForeignProgram, AttachedByNetlinkIsRefusedByIdAndNameAndGivesWayToReplace) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  const engine::UniqueFd other = foreign_program();
  const auto flags = GetParam() == "native" ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  ASSERT_EQ(bpf_xdp_attach(static_cast<int>(index_of("veth_a")), other.get(), flags, nullptr), 0);
  const std::uint32_t id = bpf::attached_program(index_of("veth_a"), "veth_a");
  auto root = bpf::RootProgram::load({});
  EXPECT_EQ(attach_error(root, "veth_a", AttachRequest::automatic),
            "4: attach to veth_a: another XDP program " + std::to_string(id) +
                " (someone_else) is attached there; detach it, or take its place with --replace");
  EXPECT_EQ(bpf::attached_program(index_of("veth_a"), "veth_a"), id) << "it is left alone";
  EXPECT_EQ(attach_error(root, "veth_a", AttachRequest::automatic, Foreign::replace), "");
  EXPECT_EQ(bpf::attached_program(index_of("veth_a"), "veth_a"), root.program_id());
}

TEST_P(ForeignProgram, HeldByALinkIsRefusedByIdAndNameAndGivesWayToReplace) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  const engine::UniqueFd other = foreign_program();
  bpf::Options<bpf_link_create_opts> options;
  options.flags = static_cast<__u32>(GetParam() == "native" ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
  const engine::UniqueFd link(bpf_link_create(other.get(), static_cast<int>(index_of("veth_a")), BPF_XDP, &options));
  ASSERT_TRUE(link.valid());
  const std::uint32_t id = bpf::attached_program(index_of("veth_a"), "veth_a");
  auto root = bpf::RootProgram::load({});
  EXPECT_EQ(attach_error(root, "veth_a", AttachRequest::automatic)
                .find("4: attach to veth_a: another XDP program " + std::to_string(id) + " (someone_else)"),
            0U);
  EXPECT_EQ(attach_error(root, "veth_a", AttachRequest::automatic, Foreign::replace), "");
  EXPECT_EQ(bpf::attached_program(index_of("veth_a"), "veth_a"), root.program_id());
}

INSTANTIATE_TEST_SUITE_P(BothModes, ForeignProgram, testing::Values("native", "generic"),
                         [](const auto& info) { return info.param; });

TEST(Attach, RefusesASecondOneOfOurs) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  auto first = bpf::RootProgram::load({});
  auto second = bpf::RootProgram::load({});
  ASSERT_EQ(attach_error(first, "veth_a", AttachRequest::automatic), "");
  EXPECT_EQ(attach_error(second, "veth_a", AttachRequest::automatic)
                .find("4: attach to veth_a: another XDP program " + std::to_string(first.program_id()) + " (root)"),
            0U);
  EXPECT_EQ(bpf::attached_program(index_of("veth_a"), "veth_a"), first.program_id());
}

TEST(Attach, GoesWithTheObjectThatHoldsIt) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  {
    auto root = bpf::RootProgram::load({});
    ASSERT_EQ(attach_error(root, "veth_a", AttachRequest::automatic), "");
    bpf::RootProgram moved = std::move(root);
    EXPECT_EQ(moved.attach_mode(), AttachMode::native);
    EXPECT_EQ(shown_mode("veth_a"), "native");
  }
  EXPECT_EQ(shown_mode("veth_a"), "none");
}

TEST(Attach, GoesWithAProcessThatIsKilled) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto root = bpf::RootProgram::load({});
    root.attach(index_of("veth_a"), "veth_a", AttachRequest::native, Foreign::refuse);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte;
  close(ready[1]);
  EXPECT_EQ(read(ready[0], &byte, 1), 1) << "the child attached";
  close(ready[0]);
  EXPECT_EQ(shown_mode("veth_a"), "native");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (bpf::attached_program(index_of("veth_a"), "veth_a") != 0 && std::chrono::steady_clock::now() < deadline) {
  }
  EXPECT_EQ(bpf::attached_program(index_of("veth_a"), "veth_a"), 0U);
}

TEST(Attach, LeavesNothingBehindAfterAHundredTimes) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  const auto open_fds = [] {
    const engine::UniqueFd probe(dup(0));
    return probe.get();
  };
  bpf::RootConfig config;
  config.filter = "udp";
  bpf::add_block_entry("10.0.0.0/8", "test", config.block);
  const auto once = [&] {
    auto root = bpf::RootProgram::load(config);
    root.attach(index_of("veth_a"), "veth_a", AttachRequest::automatic, Foreign::refuse);
  };
  once();
  const int before = open_fds();  // the lowest free descriptor
  for (int i = 0; i < 100; ++i) once();
  EXPECT_EQ(open_fds(), before);
  EXPECT_EQ(shown_mode("veth_a"), "none");
}

}  // namespace
