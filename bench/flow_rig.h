// Packets of many flows, and what gives them to a table of flows: for flow_bench and dpdk_bench.
//
// A table has `flows` flows at most; nine of ten are known when measuring begins, the others come one in 16 packets.
// Each contestant gets the same packets, makes the same key of each (40 bytes, canonical), finds or inserts its flow,
// and counts packet and bytes in it.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "plugins/flows/flow_table.h"

namespace bench {

inline constexpr std::uint32_t kFlowBatch = 64;
inline constexpr std::uint32_t kFlowPackets = 1'600'000;

template <typename T>
void set_field(engine_packet& packet, std::size_t offset, T value) {
  std::memcpy(reinterpret_cast<std::byte*>(&packet) + offset, &value, sizeof value);
}

inline std::uint64_t next_random(std::uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// A packet of flow number `flow`, in one of its directions.
inline void fill(engine_packet& p, std::uint32_t flow, bool back, double time) {
  static std::uint32_t sequence = 0;  // so that no segment lies below one that its flow has seen
  std::memset(static_cast<void*>(&p), 0, sizeof p);
  const std::uint64_t scattered = flow * 0x9e3779b97f4a7c15u;
  const std::uint8_t client[16] = {0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0xff,
                                   0xff,
                                   10,
                                   static_cast<std::uint8_t>(scattered >> 40),
                                   static_cast<std::uint8_t>(scattered >> 48),
                                   static_cast<std::uint8_t>(scattered >> 56)};
  std::uint8_t server[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 0, 0};
  server[15] = static_cast<std::uint8_t>(flow & 63);
  const auto port = static_cast<std::uint16_t>(1024 + flow % 60000);
  const std::uint16_t service = 443;
  std::memcpy(reinterpret_cast<std::byte*>(&p) + offsetof(engine_packet, src), back ? server : client, 16);
  std::memcpy(reinterpret_cast<std::byte*>(&p) + offsetof(engine_packet, dst), back ? client : server, 16);
  set_field(p, offsetof(engine_packet, src_port), back ? service : port);
  set_field(p, offsetof(engine_packet, dst_port), back ? port : service);
  set_field(p, offsetof(engine_packet, time), time);
  set_field(p, offsetof(engine_packet, ip_version), std::uint8_t{4});
  set_field(p, offsetof(engine_packet, proto), std::uint8_t{6});
  set_field(p, offsetof(engine_packet, tcp_flags), std::uint8_t{16});
  set_field(p, offsetof(engine_packet, tcp_seq), sequence += 100);
  set_field(p, offsetof(engine_packet, l4_off), std::uint16_t{34});
  set_field(p, offsetof(engine_packet, payload_off), std::uint16_t{54});
  set_field(p, offsetof(engine_packet, payload_len), 100u);
  set_field(p, offsetof(engine_packet, len), 154u);
  set_field(p, offsetof(engine_packet, caplen), 154u);
}

// Numbers of flows in the order of their packets.
inline std::vector<std::uint32_t> order_of(std::uint32_t flows) {
  std::vector<std::uint32_t> order;
  std::uint64_t state = 88172645463325252u;
  std::uint32_t seen = flows / 10 * 9;
  for (std::uint32_t i = 0; i < kFlowPackets; ++i) {
    const bool fresh = i % 16 == 0 && seen < flows;
    order.push_back(fresh ? seen++ : static_cast<std::uint32_t>(next_random(state) % seen));
  }
  return order;
}

template <typename Side>
void fill_known(Side& side, std::uint32_t known) {
  std::vector<engine_packet> packets(kFlowBatch);
  for (std::uint32_t at = 0; at < known; at += kFlowBatch) {
    const std::uint32_t count = std::min(kFlowBatch, known - at);
    for (std::uint32_t i = 0; i < count; ++i) fill(packets[i], at + i, false, 1.0);
    side.batch(packets.data(), count);
  }
}

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Side: batch(packets, count) and size(); made with make(). The packets of a batch lie in the cache, as after decoding.
template <typename Make>
void update_flows(benchmark::State& state, const Make& make) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  const std::vector<std::uint32_t> order = order_of(flows);
  std::vector<engine_packet> packets(kFlowBatch);
  for (auto _ : state) {
    const auto side = make(flows);
    fill_known(*side, flows / 10 * 9);
    double spent_s = 0;
    for (std::uint32_t at = 0; at < kFlowPackets; at += kFlowBatch) {
      for (std::uint32_t i = 0; i < kFlowBatch; ++i) fill(packets[i], order[at + i], (order[at + i] ^ i) & 1, 2.0);
      const double begin_s = seconds();
      side->batch(packets.data(), kFlowBatch);
      spent_s += seconds() - begin_s;
    }
    if (side->size() != flows) return state.SkipWithError("flows are missing");
    state.SetIterationTime(spent_s);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kFlowPackets);
}

// The name is that of a benchmark of bench/micro: flows/CASE/CONTESTANT.
template <typename Make>
void add_flows(const char* name, const Make& make) {
  benchmark::RegisterBenchmark(name, [make](benchmark::State& state) { update_flows(state, make); })
      ->Arg(10'000)
      ->Arg(1'000'000)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace bench
