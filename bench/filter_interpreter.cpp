#include "bench/filter_interpreter.h"

#include "bpf/filter.h"
#include "engine/packet_filter.h"

namespace bench {

void run_interpreter(benchmark::State& state, const char* filter, std::span<const std::uint8_t> frame) {
  const auto program = bpf::compile_filter(filter);
  const auto bytes = static_cast<std::uint32_t>(frame.size());
  std::uint64_t matched = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(frame.data());
    matched += engine::is_selected(program, frame.data(), bytes, bytes);
  }
  benchmark::DoNotOptimize(matched);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

}  // namespace bench
