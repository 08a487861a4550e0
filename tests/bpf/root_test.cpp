// The root program, one frame at a time: frame in, verdict and counter out (BPF_PROG_TEST_RUN, queue 0).
#include <bpf/bpf.h>

#include <type_traits>

#include "bpf/root_program.h"
#include "tests/bpf/frames.h"

namespace {

using namespace bpf_test;

static_assert(!std::is_copy_constructible_v<bpf::RootProgram> &&
              std::is_nothrow_move_constructible_v<bpf::RootProgram>);

bpf::RootConfig blocking(std::initializer_list<const char*> entries) {
  bpf::RootConfig config;
  for (const char* entry : entries) bpf::add_block_entry(entry, "test", config.block);
  return config;
}

bpf::RootConfig filtering(const char* text) {
  bpf::RootConfig config;
  config.filter = text;
  return config;
}

std::uint32_t run_udp(const bpf::RootProgram& root, const char* source, const std::vector<std::uint16_t>& tags = {}) {
  const bool v6 = std::string(source).find(':') != std::string::npos;
  return run(root.program_fd(), udp_frame(source, v6 ? "2001:db8::99" : "198.51.100.1", 1000, 53, tags));
}

TEST(Root, PassesAFrameToTheStackWhenNoSocketIsInTheSlot) {
  NEEDS_ROOT();
  const auto root = bpf::RootProgram::load({});
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_PASS));
  const root_counters counters = root.counters(0);
  EXPECT_EQ(counters.xdp_seen, 1U);
  EXPECT_EQ(counters.no_socket, 1U);
  EXPECT_EQ(sum_of_verdicts(counters), 1U);
}

TEST(Root, RedirectsToTheSocketOfTheQueue) {
  NEEDS_ROOT();
  auto root = bpf::RootProgram::load({});
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_REDIRECT));
  root.clear_socket(0);
  root.clear_socket(0);
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_PASS));
  const root_counters counters = root.counters(0);
  EXPECT_EQ(counters.xdp_seen, 2U);
  EXPECT_EQ(counters.redirected, 1U);
  EXPECT_EQ(counters.no_socket, 1U);
}

TEST(Root, RefusesASocketForAQueueThatTheMapDoesNotHave) {
  NEEDS_ROOT();
  auto root = bpf::RootProgram::load({});
  const engine::UniqueFd socket = unbound_socket();
  EXPECT_NE(error_of([&] { root.set_socket(1, socket.get()); }).find("4: put the socket of queue 1"),
            std::string::npos);
}

TEST(Root, DropsABlockedSourceAndCountsIt) {
  NEEDS_ROOT();
  const auto root = bpf::RootProgram::load(blocking({"10.0.0.1", "2001:db8::1"}));
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "2001:db8::1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "10.0.0.2"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(run_udp(root, "2001:db8::2"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(root.counters(0).blocked, 2U);
  EXPECT_EQ(root.counters(0).xdp_seen, 4U);
}

TEST(Root, DropsASourceInABlockedNetwork) {
  NEEDS_ROOT();
  const auto root = bpf::RootProgram::load(blocking({"10.0.0.0/8", "172.16.0.0/12", "2001:db8:1::/48"}));
  EXPECT_EQ(run_udp(root, "10.255.0.1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "172.31.255.255"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "172.32.0.0"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(run_udp(root, "2001:db8:1:ffff::1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "2001:db8:2::1"), static_cast<std::uint32_t>(XDP_PASS));
}

TEST(Root, BlocksAndUnblocksSourcesWhileItRuns) {
  NEEDS_ROOT();
  bpf::RootConfig config = blocking({"192.0.2.0/24"});
  config.more_addresses = 2;
  config.more_networks = 1;
  auto root = bpf::RootProgram::load(config);
  const bpf::BlockList list = blocking({"10.0.0.1", "10.0.0.2", "10.0.0.3", "172.16.0.0/12", "2001:db8::/32"}).block;
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(root.block(list.addresses[0]), 0);
  EXPECT_EQ(root.block(list.addresses[0]), 0) << "again";
  EXPECT_EQ(root.block(list.networks[0]), 0);
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "172.16.0.1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "192.0.2.1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "10.0.0.2"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(root.block(list.addresses[1]), 0);
  EXPECT_EQ(root.block(list.addresses[2]), E2BIG) << "kernel/bpf/hashtab.c";
  EXPECT_EQ(root.block(list.networks[1]), ENOSPC) << "kernel/bpf/lpm_trie.c";
  EXPECT_EQ(root.unblock(list.addresses[0]), 0);
  EXPECT_EQ(root.unblock(list.addresses[0]), ENOENT);
  EXPECT_EQ(root.unblock(list.networks[0]), 0);
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(run_udp(root, "172.16.0.1"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(run_udp(root, "192.0.2.1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(bpf::RootProgram::load({}).block(list.addresses[0]), EBADF) << "no such stage";
}

TEST(Root, DoesNotTakeAllOfIpv6ForAllOfIpv4) {
  NEEDS_ROOT();
  const auto six = bpf::RootProgram::load(blocking({"::/0"}));
  EXPECT_EQ(run_udp(six, "10.0.0.1"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(run_udp(six, "fe80::1"), static_cast<std::uint32_t>(XDP_DROP));
  const auto four = bpf::RootProgram::load(blocking({"0.0.0.0/0"}));
  EXPECT_EQ(run_udp(four, "10.0.0.1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(four, "fe80::1"), static_cast<std::uint32_t>(XDP_PASS));
}

TEST(Root, FindsTheSourceBehindTwoVlanTagsAndNotBehindThree) {
  NEEDS_ROOT();
  const auto root = bpf::RootProgram::load(blocking({"10.0.0.1", "2001:db8::/32"}));
  EXPECT_EQ(run_udp(root, "10.0.0.1", {5}), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "10.0.0.1", {5, 6}), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "2001:db8::1", {5, 6}), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run_udp(root, "10.0.0.1", {5, 6, 7}), static_cast<std::uint32_t>(XDP_PASS));
}

TEST(Root, LooksAtTheBlockListBeforeTheFilter) {
  NEEDS_ROOT();
  bpf::RootConfig config = blocking({"10.0.0.1"});
  config.filter = "tcp";
  const auto root = bpf::RootProgram::load(config);
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(root.counters(0).passed, 0U);
}

TEST(Root, PassesWhatTheFilterDoesNotMatch) {
  NEEDS_ROOT();
  auto root = bpf::RootProgram::load(filtering("udp port 53"));
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  EXPECT_EQ(run(root.program_fd(), udp_frame("10.0.0.1", "10.0.0.2", 1000, 53)),
            static_cast<std::uint32_t>(XDP_REDIRECT));
  EXPECT_EQ(run(root.program_fd(), udp_frame("10.0.0.1", "10.0.0.2", 1000, 54)), static_cast<std::uint32_t>(XDP_PASS));
  const root_counters counters = root.counters(0);
  EXPECT_EQ(counters.xdp_seen, 2U);
  EXPECT_EQ(counters.redirected, 1U);
  EXPECT_EQ(counters.passed, 1U);
}

TEST(Root, CountsAMatchWithoutASocketAsNoSocket) {
  NEEDS_ROOT();
  const auto root = bpf::RootProgram::load(filtering("udp"));
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(root.counters(0).no_socket, 1U);
  EXPECT_EQ(root.counters(0).passed, 0U);
}

TEST(Root, PassesAllFramesWhenTheFilterIsMissing) {
  NEEDS_ROOT();
  auto root = bpf::RootProgram::load(filtering("udp"));
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  const engine::UniqueFd slots = map_of(root, BPF_MAP_TYPE_PROG_ARRAY);
  const std::uint32_t slot = ROOT_SLOT_FILTER;
  ASSERT_EQ(bpf_map_delete_elem(slots.get(), &slot), 0);
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(root.counters(0).passed, 1U);
  root.set_filter("udp");
  EXPECT_EQ(run_udp(root, "10.0.0.1"), static_cast<std::uint32_t>(XDP_REDIRECT));
  EXPECT_EQ(root.counters(0).xdp_seen, 2U);
}

TEST(Root, CreatesNoMapForAStageThatIsNotConfigured) {
  NEEDS_ROOT();
  const auto bare = bpf::RootProgram::load({});
  for (const auto type : {BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LPM_TRIE})
    EXPECT_FALSE(map_of(bare, type).valid()) << type;
  bpf::RootConfig config = blocking({"10.0.0.1", "10.0.0.0/8"});
  config.filter = "udp";
  const auto full = bpf::RootProgram::load(config);
  for (const auto type : {BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LPM_TRIE})
    EXPECT_TRUE(map_of(full, type).valid()) << type;
}

TEST(Root, HasNoCountersForAQueueBeyondItsMaps) {
  NEEDS_ROOT();
  const auto root = bpf::RootProgram::load({});
  EXPECT_NE(error_of([&] { root.counters(1); }).find("read the counters of queue 1"), std::string::npos);
  EXPECT_NE(error_of([] { bpf::RootProgram::load({.queues = 0, .block = {}, .filter = {}}); }), "");
}

TEST(Root, SaysWhichCapabilityIsMissing) {
  NEEDS_ROOT();
  // Each in a child: capabilities are given up for good.
  const auto refused = [](std::initializer_list<cap_value_t> dropped, const std::string& missing) {
    if (!drop_capabilities(dropped)) return 2;
    const std::string error = error_of([] { bpf::RootProgram::load({}); });
    return error.find("3: load the root program: Operation not permitted, missing " + missing + ";") == 0 ? 0 : 1;
  };
  EXPECT_EXIT(std::exit(refused({CAP_BPF, CAP_SYS_ADMIN}, "CAP_BPF")), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(std::exit(refused({CAP_NET_ADMIN, CAP_SYS_ADMIN}, "CAP_NET_ADMIN")), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(std::exit(refused({CAP_NET_ADMIN, CAP_BPF, CAP_SYS_ADMIN}, "CAP_BPF, CAP_NET_ADMIN")),
              testing::ExitedWithCode(0), "");
}

}  // namespace
