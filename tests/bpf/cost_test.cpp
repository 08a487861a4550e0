// What the root program costs over a bare redirect. The bound is wide because machines that run tests are busy; the
// figures are recorded in the report of the run.
#include <gtest/gtest.h>

#include <bpf/bpf.h>

#include <algorithm>
#include <memory>

#include "bare.skel.h"
#include "bpf/root_program.h"
#include "tests/bpf/frames.h"

namespace {

using namespace bpf_test;

constexpr std::uint32_t repeat = 1'000'000;
constexpr int rounds = 5;

struct Best {
  double ns = 1e9;
  void add(double sample) { ns = std::min(ns, sample); }
};

TEST(RootCost, IsAFewNanosecondsOverABareRedirect) {
  NEEDS_ROOT();
  const engine::UniqueFd socket = unbound_socket();
  const std::unique_ptr<bare_bpf, decltype(&bare_bpf::destroy)> bare(bare_bpf::open_and_load(), &bare_bpf::destroy);
  ASSERT_NE(bare, nullptr);
  const std::uint32_t zero = 0;
  const int socket_fd = socket.get();
  ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(bare->maps.bare_sockets), &zero, &socket_fd, BPF_ANY), 0);

  auto plain = bpf::RootProgram::load({});
  bpf::RootConfig config;
  config.filter = "udp port 53 or tcp port 80";
  auto filtered = bpf::RootProgram::load(config);
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    root_block_address address = {};
    address.bytes[10] = address.bytes[11] = 0xff;
    address.bytes[12] = 172;
    address.bytes[13] = static_cast<__u8>(i >> 16);
    address.bytes[14] = static_cast<__u8>(i >> 8);
    address.bytes[15] = static_cast<__u8>(i);
    config.block.addresses.push_back(address);
  }
  auto both = bpf::RootProgram::load(config);
  for (bpf::RootProgram* root : {&plain, &filtered, &both}) root->set_socket(0, socket.get());

  const Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1000, 53);
  Best bare_ns, plain_ns, filtered_ns, both_ns;
  for (int round = 0; round < rounds; ++round) {
    bare_ns.add(run_ns(bpf_program__fd(bare->progs.bare), frame, repeat));
    plain_ns.add(run_ns(plain.program_fd(), frame, repeat));
    filtered_ns.add(run_ns(filtered.program_fd(), frame, repeat));
    both_ns.add(run_ns(both.program_fd(), frame, repeat));
  }
  std::printf(
      "ns a frame, best of %d x %u: bare redirect %.0f, root %.0f, with filter %.0f, with filter and 100,000 "
      "blocked addresses %.0f\n",
      rounds, repeat, bare_ns.ns, plain_ns.ns, filtered_ns.ns, both_ns.ns);
  EXPECT_LE(plain_ns.ns, bare_ns.ns + 10);
  EXPECT_LE(both_ns.ns, 100);
  EXPECT_EQ(plain.counters(0).redirected, std::uint64_t{rounds} * repeat);
}

}  // namespace
