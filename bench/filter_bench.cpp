// What a filter costs a frame: the eBPF program that the engine makes of it, by BPF_PROG_TEST_RUN (needs root), against
// libpcap's interpreter, which files and plugins' own filters use.
//
// run: filter_bench [--benchmark_filter=...], or bench/micro --filter '^filter' for the ratios. One frame, in the
// cache: UDP over IPv4, 10.0.0.1 to 198.51.100.1, port 53. "nothing" is what the kernel's run of a program costs by
// itself.
#include <benchmark/benchmark.h>
#include <bpf/bpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string>

#include "bench/filter_interpreter.h"
#include "bench/udp_frame.h"
#include "bpf/filter.h"
#include "bpf/options.h"
#include "bpf/root_abi.h"
#include "engine/base/error.h"

namespace {

constexpr std::uint32_t kRepeat = 100'000;

struct Case {
  const char* name;
  const char* text;
};
constexpr Case kCases[] = {
    {"port", "udp port 53"},
    {"three_terms", "udp and dst host 198.51.100.1 and port 53"},
    {"no_match", "tcp and (port 80 or port 443)"},
    {"ten_hosts",
     "host 192.0.2.1 or host 192.0.2.2 or host 192.0.2.3 or host 192.0.2.4 or host 192.0.2.5 or "
     "host 192.0.2.6 or host 192.0.2.7 or host 192.0.2.8 or host 192.0.2.9 or host 198.51.100.1"}};

void run_program(benchmark::State& state, int program_fd) {
  const auto frame = bench::udp_frame();
  std::uint64_t runs = 0;
  for (auto _ : state) {
    bpf::Options<bpf_test_run_opts> options;
    options.data_in = frame.data();
    options.data_size_in = frame.size();
    options.repeat = kRepeat;
    if (bpf_prog_test_run_opts(program_fd, &options) != 0) return state.SkipWithError(std::strerror(errno));
    runs += kRepeat;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(runs));
}

// Slots are empty: match or not, the program ends where it would go on to deliver or to pass.
void by_kernel(benchmark::State& state, const char* text) {
  const bpf::Options<bpf_map_create_opts> options;
  const engine::UniqueFd slots(bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "slots", 4, 4, ROOT_SLOT_COUNT, &options));
  if (!slots.valid()) return state.SkipWithError("needs root, for programs in the kernel");
  const engine::UniqueFd program = bpf::load_filter(text, slots.get());
  run_program(state, program.get());
}

void nothing(benchmark::State& state) {
  constexpr bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, XDP_PASS},
                               {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  const bpf::Options<bpf_prog_load_opts> options;
  const engine::UniqueFd program(
      bpf_prog_load(BPF_PROG_TYPE_XDP, "nothing", "Dual MIT/GPL", code, std::size(code), &options));
  if (!program.valid()) return state.SkipWithError("needs root, for programs in the kernel");
  run_program(state, program.get());
}

void by_interpreter(benchmark::State& state, const char* text) {
  bench::run_interpreter(state, text, bench::udp_frame());
}

}  // namespace

int main(int count, char** arguments) {
  for (const Case& one : kCases) {
    const std::string contest = "filter/" + std::string(one.name);
    benchmark::RegisterBenchmark((contest + "/ebpf").c_str(), by_kernel, one.text);
    benchmark::RegisterBenchmark((contest + "/interpreter").c_str(), by_interpreter, one.text);
  }
  benchmark::RegisterBenchmark("filter/nothing/ebpf", nothing);
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
