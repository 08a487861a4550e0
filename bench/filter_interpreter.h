// libpcap's interpreter over one frame, for filter_bench: a file of its own, as libpcap and the kernel both call what
// they run `bpf_insn`.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <span>

namespace bench {

void run_interpreter(benchmark::State& state, const char* filter, std::span<const std::uint8_t> frame);

}  // namespace bench
