// What decoding costs by kind of packet, against looking at one byte of each frame.
//
// run: decode_bench [--benchmark_filter=...], or bench/micro --filter decode for the ratios. 4,096 frames of one kind,
// in a UMEM-sized area in random order, in batches of 64. What the stages behind it cost: `engine bench pipeline`.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/decode/decode.h"

namespace {

constexpr std::uint32_t kFrames = 4096, kChunkBytes = 2048, kHeadroomBytes = 256, kBatch = 64;

void put16(std::uint8_t* at, std::uint32_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}

struct Kind {
  const char* name;
  std::uint16_t eth_type;  // 0: each frame another of the kinds
  std::uint8_t vlan_tags;
  std::uint8_t protocol;      // 0: no IP
  std::uint8_t option_bytes;  // IPv4 options or IPv6 extension headers
  bool fragment;
};
constexpr Kind kKinds[] = {{"udp4", 0x0800, 0, 17, 0, false},
                           {"tcp4", 0x0800, 0, 6, 0, false},
                           {"icmp4", 0x0800, 0, 1, 0, false},
                           {"udp6", 0x86dd, 0, 17, 0, false},
                           {"tcp6", 0x86dd, 0, 6, 0, false},
                           {"tcp4_vlan", 0x0800, 1, 6, 0, false},
                           {"tcp4_qinq", 0x0800, 2, 6, 0, false},
                           {"udp4_options", 0x0800, 0, 17, 8, false},
                           {"udp6_extension", 0x86dd, 0, 17, 8, false},
                           {"fragment4", 0x0800, 0, 17, 0, true},
                           {"arp", 0x0806, 0, 0, 0, false},
                           {"other", 0x88cc, 0, 0, 0, false},
                           {"mixed", 0, 0, 0, 0, false}};

void write_transport(std::uint8_t* l4, std::uint8_t protocol, std::mt19937& random) {
  put16(l4, random());
  put16(l4 + 2, random());
  if (protocol == 6) l4[12] = 0x50;
  if (protocol == 17) put16(l4 + 4, 26);
}

// Returns the frame's length.
std::uint32_t write_frame(std::uint8_t* frame, const Kind& kind, std::mt19937& random) {
  std::uint32_t at = 12;
  for (std::uint32_t tag = kind.vlan_tags; tag > 0; --tag, at += 4) {
    put16(frame + at, tag == 2 ? 0x88a8 : 0x8100);
    put16(frame + at + 2, random() & 0xfff);
  }
  put16(frame + at, kind.eth_type);
  std::uint8_t* const ip = frame + at + 2;
  const bool v6 = kind.eth_type == 0x86dd;
  const std::uint32_t header = v6 ? 40 : 20;
  if (kind.protocol == 0) return 64;
  if (v6) {
    ip[0] = 0x60;
    put16(ip + 4, kind.option_bytes + 26U);
    ip[6] = kind.option_bytes != 0 ? 60 : kind.protocol;  // destination options
    if (kind.option_bytes != 0) ip[40] = kind.protocol;
  } else {
    ip[0] = static_cast<std::uint8_t>(0x45 + kind.option_bytes / 4);
    put16(ip + 2, header + kind.option_bytes + 26U);
    put16(ip + 6, kind.fragment ? 0x2000 + 100 : 0);
    ip[8] = 64;
    ip[9] = kind.protocol;
  }
  for (std::uint32_t i = v6 ? 8 : 12; i < header; ++i) ip[i] = static_cast<std::uint8_t>(random());
  write_transport(ip + header + kind.option_bytes, kind.protocol, random);
  return std::max<std::uint32_t>(64, at + 2 + header + kind.option_bytes + 26);
}

struct Area {
  std::unique_ptr<std::uint8_t[], decltype(&std::free)> memory{nullptr, &std::free};
  std::vector<engine::FrameSpan> order;

  explicit Area(const Kind& kind) {
    constexpr std::size_t bytes = std::size_t{kFrames} * kChunkBytes;
    memory.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kChunkBytes, bytes)));
    std::memset(memory.get(), 0, bytes);
    std::mt19937 random(1);
    for (std::uint32_t i = 0; i < kFrames; ++i) {
      const std::uint64_t offset = std::uint64_t{i} * kChunkBytes + kHeadroomBytes;
      const Kind& one = kind.eth_type != 0 ? kind : kKinds[random() % (std::size(kKinds) - 1)];
      order.push_back({offset, write_frame(memory.get() + offset, one, random)});
    }
    std::shuffle(order.begin(), order.end(), random);
  }
};

void touch(benchmark::State& state, const Kind& kind) {
  const Area area(kind);
  std::uint64_t sum = 0;
  for (auto _ : state) {
    for (const engine::FrameSpan& frame : area.order) sum += area.memory[frame.offset];
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kFrames);
}

void decode(benchmark::State& state, const Kind& kind) {
  const Area area(kind);
  alignas(64) static thread_local engine_packet packets[kBatch];
  for (auto _ : state) {
    for (std::uint32_t first = 0; first < kFrames; first += kBatch) {
      const engine::FrameSpan* spans = area.order.data() + first;
      engine::decode_batch(
          kBatch, area.memory.get(), [spans](std::uint32_t i) { return spans[i]; }, packets);
      benchmark::ClobberMemory();
    }
  }
  if (kind.protocol != 0 && packets[0].proto != kind.protocol) state.SkipWithError("a frame was not decoded");
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kFrames);
}

}  // namespace

int main(int count, char** arguments) {
  for (const Kind& kind : kKinds) {
    const std::string contest = "decode/" + std::string(kind.name);
    benchmark::RegisterBenchmark((contest + "/engine").c_str(), decode, kind);
    benchmark::RegisterBenchmark((contest + "/touch").c_str(), touch, kind);
  }
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
