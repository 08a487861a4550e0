// The BPF program makes the same packets as the C++ builder: packet in, packet out, through BPF_PROG_TEST_RUN.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <endian.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "bpf/gen_abi.h"
#include "engine/gen/traffic.h"
#include "gen.skel.h"
#include "tests/gen/independent.h"

namespace engine::gen::test {
namespace {

struct Closer {
  void operator()(gen_bpf* skeleton) const noexcept { gen_bpf::destroy(skeleton); }
};
using Program = std::unique_ptr<gen_bpf, Closer>;

Program load(const Traffic& traffic, std::uint64_t seed) {
  Program program(gen_bpf::open());
  if (!program) return program;
  const auto& cells = traffic.flows().cells();
  program->rodata->config = {mix64(seed), traffic.flows().flows(), !cells.empty(), traffic.frames().front().layout};
  bpf_map__set_max_entries(program->maps.alias, std::max<std::size_t>(1, cells.size()));
  const libbpf_print_fn_t printer = libbpf_set_print(nullptr);
  const int error = gen_bpf::load(program.get());
  libbpf_set_print(printer);
  if (error != 0) {
    errno = -error;
    return nullptr;
  }
  for (std::uint32_t i = 0; i < cells.size(); ++i)
    bpf_map__update_elem(program->maps.alias, &i, sizeof i, &cells[i], sizeof cells[i], BPF_ANY);
  program->bss->state.batch = GEN_STAMP_BATCH;
  return program;
}

// Runs the program over `frame`, which comes back as it left. Returns the verdict.
std::uint32_t run(const Program& program, std::vector<std::byte>& frame) {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<std::uint32_t>(frame.size());
  std::vector<std::byte> out(frame.size());
  options.data_out = out.data();
  options.data_size_out = static_cast<std::uint32_t>(out.size());
  if (bpf_prog_test_run_opts(bpf_program__fd(program->progs.gen), &options) != 0) return UINT32_MAX;
  frame = out;
  return options.retval;
}

// `dirty`: what a recycled page may hold in the fields that vary.
void expect_same(const TrafficSpec& spec, int packets) {
  Traffic traffic(spec);
  const Program program = load(traffic, spec.seed);
  if (!program) {
    ASSERT_EQ(errno, EPERM) << std::strerror(errno);
    GTEST_SKIP() << "needs root: CAP_BPF and CAP_NET_ADMIN";
  }
  const FrameTemplate& frame = traffic.frames().front();
  std::vector<std::byte> page = frame.bytes;
  for (int i = 0; i < packets; ++i) {
    ASSERT_EQ(run(program, page), static_cast<std::uint32_t>(XDP_TX));
    Packet expected = traffic.next();
    const std::uint64_t stamp = frame.stamped() ? number(page, frame.layout.stamp_off + 8, 8) : 0;
    std::vector<std::byte> bytes(expected.size_bytes());
    expected.write(stamp, bytes.data());
    ASSERT_EQ(page, bytes) << name_of(frame.kind) << " packet " << i;
    ASSERT_EQ(read_packet(page).fault, "");
    const std::uint64_t noise = mix64(static_cast<std::uint64_t>(i));
    std::memcpy(page.data() + frame.layout.address_off, &noise, 4);
    std::memcpy(page.data() + frame.layout.transport_check_off, &noise, 2);
    if (frame.layout.ip_check_off != 0) std::memcpy(page.data() + frame.layout.ip_check_off, &noise, 2);
  }
}

TEST(Program, MakesThePacketsOfTheBuilderInEveryKind) {
  for (const char* mix : {"udp4", "udp6", "tcp4", "tcp6", "icmp4", "icmp6", "udp4@7", "tcp6@100.7", "icmp4@9"}) {
    for (std::uint16_t size : {60, 64, 101, 1514}) {
      TrafficSpec spec;
      spec.mix = parse_mix(mix);
      spec.sizes = {{size, 1}};
      spec.flows = 7;
      expect_same(spec, 200);
      if (testing::Test::IsSkipped() || testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Program, DrawsTheFlowsOfTheBuilder) {
  for (std::uint32_t flows : {1U, 2U, 1000U, 70'000U}) {
    for (double zipf : {0.0, 1.2}) {
      TrafficSpec spec;
      spec.flows = flows;
      spec.zipf = zipf;
      spec.seed = 99;
      expect_same(spec, 500);
      if (testing::Test::IsSkipped() || testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Program, ReadsTheClockOnceABatch) {
  Traffic traffic(TrafficSpec{});
  const Program program = load(traffic, 1);
  if (!program) GTEST_SKIP() << "needs root: CAP_BPF and CAP_NET_ADMIN";
  std::vector<std::byte> page = traffic.frames().front().bytes;
  std::uint64_t stamps = 0, last = 0;
  for (int i = 0; i < 10 * GEN_STAMP_BATCH; ++i) {
    ASSERT_EQ(run(program, page), static_cast<std::uint32_t>(XDP_TX));
    const std::uint64_t stamp = number(page, traffic.frames().front().layout.stamp_off + 8, 8);
    ASSERT_GE(stamp, last);
    stamps += stamp != last;
    last = stamp;
  }
  EXPECT_EQ(stamps, 10U);
}

TEST(Program, WaitsForThePaceItWasGiven) {
  Traffic traffic(TrafficSpec{});
  const Program program = load(traffic, 1);
  if (!program) GTEST_SKIP() << "needs root: CAP_BPF and CAP_NET_ADMIN";
  gen_live_state& state = program->bss->state;
  std::vector<std::byte> page = traffic.frames().front().bytes;
  ASSERT_EQ(run(program, page), static_cast<std::uint32_t>(XDP_TX));
  state.batch = 1;
  state.next_look = state.pace_first = state.packets;
  state.pace_start_ns = state.last_ns;
  state.pace_interval = std::uint64_t{50'000} << GEN_PACE_SHIFT;
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_EQ(run(program, page), static_cast<std::uint32_t>(XDP_TX));
    ASSERT_GE(state.last_ns, state.pace_start_ns + i * 50'000);
  }
}

}  // namespace
}  // namespace engine::gen::test
