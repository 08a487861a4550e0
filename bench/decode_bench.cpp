// Decode against the memory it has to touch anyway: 4,096 frames of 64 bytes in an area laid out like a UMEM (one
// frame per 2 KiB chunk, 256 bytes of headroom), visited in random order. `touch` reads each frame's first cache line
// and nothing else: the cost that no decoder can avoid. All benchmarks visit the same frames in the same order.
//
// The counter `per_packet` is seconds; main() prints what the README's ratios are made of.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "bpf/filter.h"
#include "engine/analysis.h"
#include "engine/decode/decode.h"
#include "engine/session.h"

namespace {

constexpr std::uint32_t kFrames = 4096, kChunkBytes = 2048, kHeadroomBytes = 256, kBatch = 64;

void put16(std::uint8_t* at, std::uint32_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}

// Returns the frame's length. `kind`: 0 UDP over IPv4, 1 TCP, 2 UDP over IPv6, 3 VLAN + TCP, 4 ARP.
std::uint32_t write_frame(std::uint8_t* frame, int kind, std::mt19937& random) {
  std::uint32_t at = 12;
  if (kind == 3) {
    put16(frame + 12, 0x8100);
    put16(frame + 14, random() & 0xfff);
    at = 16;
  }
  put16(frame + at, kind == 4 ? 0x0806 : kind == 2 ? 0x86dd : 0x0800);
  std::uint8_t* ip = frame + at + 2;
  const bool tcp = kind == 1 || kind == 3;
  std::uint8_t* l4 = ip + (kind == 2 ? 40 : 20);
  if (kind == 2) {
    ip[0] = 0x60;
    put16(ip + 4, 20);
    ip[6] = 17;
    for (int i = 8; i < 40; ++i) ip[i] = static_cast<std::uint8_t>(random());
  } else if (kind != 4) {
    ip[0] = 0x45;
    put16(ip + 2, 46);
    ip[8] = 64;
    ip[9] = tcp ? 6 : 17;
    for (int i = 12; i < 20; ++i) ip[i] = static_cast<std::uint8_t>(random());
  }
  if (kind != 4) {
    put16(l4, random());
    put16(l4 + 2, random());
    if (tcp) {
      l4[12] = 0x50;
    } else {
      put16(l4 + 4, kind == 2 ? 20 : 26);
    }
  }
  return kind == 2 ? 74 : 64;
}

struct Area {
  std::unique_ptr<std::uint8_t[], decltype(&std::free)> memory{nullptr, &std::free};
  std::vector<engine::FrameSpan> order;

  // `mixed`: the kinds in equal parts; else UDP over IPv4 only.
  explicit Area(bool mixed) {
    constexpr std::size_t bytes = std::size_t{kFrames} * kChunkBytes;
    memory.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kChunkBytes, bytes)));
    std::memset(memory.get(), 0, bytes);
    std::mt19937 random(1);
    for (std::uint32_t i = 0; i < kFrames; ++i) {
      const std::uint64_t offset = std::uint64_t{i} * kChunkBytes + kHeadroomBytes;
      const int kind = mixed ? static_cast<int>(random() % 5) : 0;
      order.push_back({offset, write_frame(memory.get() + offset, kind, random)});
    }
    std::shuffle(order.begin(), order.end(), random);
  }
};

void finish(benchmark::State& state) {
  state.counters["per_packet"] =
      benchmark::Counter(kFrames, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void touch(benchmark::State& state, bool mixed) {
  const Area area(mixed);
  std::uint64_t sum = 0;
  for (auto _ : state) {
    for (const engine::FrameSpan& frame : area.order) sum += area.memory[frame.offset];
    benchmark::DoNotOptimize(sum);
  }
  finish(state);
}

template <class Count>
void decode_and(benchmark::State& state, bool mixed, Count&& count) {
  const Area area(mixed);
  alignas(64) static thread_local engine_packet packets[kBatch];
  for (auto _ : state) {
    for (std::uint32_t first = 0; first < kFrames; first += kBatch) {
      const engine::FrameSpan* spans = area.order.data() + first;
      engine::decode_batch(
          kBatch, area.memory.get(), [spans](std::uint32_t i) { return spans[i]; }, packets);
      count(packets);
    }
    benchmark::ClobberMemory();
  }
  finish(state);
}

void decode(benchmark::State& state, bool mixed) {
  decode_and(state, mixed, [](const engine_packet*) {});
}

void decode_and_count(benchmark::State& state, bool mixed) {
  std::uint64_t by_proto[256] = {};
  decode_and(state, mixed, [&by_proto](const engine_packet* packets) {
    for (std::uint32_t i = 0; i < kBatch; ++i) ++by_proto[packets[i].proto];
  });
  benchmark::DoNotOptimize(by_proto);
}

// The worker's whole path over a batch, as it ships: decode, one crossing into Lua that counts by protocol, publish.
void decode_and_lua(benchmark::State& state, bool mixed) {
  engine::cli::Settings settings;
  settings.plugins.push_back({.path = {},
                              .code = R"(
local packets = {}
for proto = 0, 255 do packets[proto] = 0 end
function on_packet(p)
  local proto = p.proto
  packets[proto] = packets[proto] + 1
end
)",
                              .name = "count",
                              .args = {}});
  const Area area(mixed);
  engine::Analysis analysis({.make_room = {}, .epoch_ns = 1});
  engine::PluginSet plugins(settings, bpf::filter_ethernet);
  plugins.load({"bench", {0}, -1, -1}, 0, analysis);
  analysis.begin(area.memory.get(), 1);
  for (auto _ : state) {
    for (std::uint32_t first = 0; first < kFrames; first += kBatch) {
      const engine::FrameSpan* spans = area.order.data() + first;
      engine::decode_batch(
          kBatch, area.memory.get(), [spans](std::uint32_t i) { return spans[i]; }, analysis.packets());
      analysis.run(kBatch);
    }
  }
  finish(state);
}

BENCHMARK_CAPTURE(touch, udp, false);
BENCHMARK_CAPTURE(decode, udp, false);
BENCHMARK_CAPTURE(decode_and_count, udp, false);
BENCHMARK_CAPTURE(decode_and_lua, udp, false);
BENCHMARK_CAPTURE(touch, mixed, true);
BENCHMARK_CAPTURE(decode, mixed, true);
BENCHMARK_CAPTURE(decode_and_count, mixed, true);
BENCHMARK_CAPTURE(decode_and_lua, mixed, true);

// The console report, and the figures kept for the ratios.
class Ratios : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const auto found = run.counters.find("per_packet");
      if (found != run.counters.end() && run.run_type == Run::RT_Iteration) {
        double& best = ns_[run.run_name.function_name];
        best = best == 0 ? found->second.value * 1e9 : std::min(best, found->second.value * 1e9);
      }
    }
    ConsoleReporter::ReportRuns(runs);
  }
  void print() const {
    for (const std::string kind : {"udp", "mixed"}) {
      const double touch_ns = of("touch/" + kind);
      if (touch_ns == 0) continue;
      std::printf("%s: touch %.2f ns", kind.c_str(), touch_ns);
      for (const std::string what : {"decode", "decode_and_count", "decode_and_lua"})
        std::printf(", %s %.2f ns = %.2f x", what.c_str(), of(what + "/" + kind), of(what + "/" + kind) / touch_ns);
      std::printf("\n");
    }
  }

 private:
  double of(const std::string& name) const {
    const auto found = ns_.find(name);
    return found == ns_.end() ? 0 : found->second;
  }
  std::map<std::string, double> ns_;
};

}  // namespace

int main(int count, char** arguments) {
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  Ratios reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  reporter.print();
  benchmark::Shutdown();
}
