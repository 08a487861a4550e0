// What a plugin costs per packet: one state over packets that are decoded already, at the worker's batch sizes.
//
// run: lua_bench [--benchmark_filter=...]. "ns" is per packet; "garbage" is bytes that Lua allocated per packet.
// Packets differ (three protocols, 1,000 sources, 500 ports): one key repeated would measure how fast a store is
// forwarded to the next load. Frames are in the cache: what a cold frame costs is in decode_bench.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>
#include <vector>

#include "bench/plugin_rig.h"

namespace {

constexpr std::uint32_t kCapacity = bench::kRigCapacity;
constexpr std::uint32_t kFrame_bytes = 64;

template <typename T>
void set(engine_packet& packet, std::size_t offset, T value) {
  std::memcpy(reinterpret_cast<std::byte*>(&packet) + offset, &value, sizeof value);
}

std::vector<engine_packet> traffic(std::size_t count, std::uint32_t seed) {
  std::vector<engine_packet> packets(count);
  for (std::size_t i = 0; i < count; ++i) {
    engine_packet& p = packets[i];
    std::memset(static_cast<void*>(&p), 0, sizeof p);
    const std::uint32_t r = (seed = seed * 1103515245 + 12345) >> 8;
    const std::uint8_t source[16] = {0,
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
                                     0,
                                     static_cast<std::uint8_t>(r % 1000 >> 8),
                                     static_cast<std::uint8_t>(r % 1000)};
    std::memcpy(reinterpret_cast<std::byte*>(&p) + offsetof(engine_packet, src), source, sizeof source);
    set(p, offsetof(engine_packet, src4), 0x0a000000u + r % 1000);
    set(p, offsetof(engine_packet, proto), static_cast<std::uint8_t>(std::array{6, 17, 1}[r % 3]));
    set(p, offsetof(engine_packet, dst_port), static_cast<std::uint16_t>(r % 500));
    set(p, offsetof(engine_packet, ip_version), std::uint8_t{4});
    set(p, offsetof(engine_packet, eth_type), std::uint16_t{0x0800});
    set(p, offsetof(engine_packet, len), 64 + r % 1400);
    set(p, offsetof(engine_packet, caplen), 60u);
    set(p, offsetof(engine_packet, payload_off), std::uint16_t{42});
    set(p, offsetof(engine_packet, payload_len), 18u);
    set(p, offsetof(engine_packet, _off), static_cast<std::uint32_t>(i % kCapacity * kFrame_bytes));
  }
  return packets;
}

void run_plugin(benchmark::State& state, const char* code) {
  const std::vector<engine_packet> warm_up = traffic(300, 7);
  const std::vector<std::uint8_t> frames(kCapacity * kFrame_bytes);
  bench::PluginRig rig(code, warm_up, frames.data());
  rig.give(traffic(kCapacity + 1, 99));

  const auto batch = static_cast<std::uint32_t>(state.range(0));
  rig.run(batch);
  const std::size_t before_bytes = rig.state().statistics().memory_bytes;
  for (std::uint32_t i = 0; i < 1'000'000 / batch; ++i) rig.run(batch);
  const auto grown_bytes =
      static_cast<double>(rig.state().statistics().memory_bytes) - static_cast<double>(before_bytes);
  std::uint64_t done = 0;
  for (auto _ : state) {
    rig.run(batch);
    rig.state().collect_garbage_step();
    done += batch;
  }
  state.counters["ns"] =
      benchmark::Counter(static_cast<double>(done), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["garbage"] = grown_bytes / 1e6;
  if (rig.state().statistics().errors != 0) state.SkipWithError("the plugin failed");
}

void sizes(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(16)->Arg(64)->Arg(256); }

BENCHMARK_CAPTURE(run_plugin, empty, "function on_packet(p) end")->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, count_by_protocol,
                  "local n = {} for i = 0, 255 do n[i] = 0 end function on_packet(p) n[p.proto] = n[p.proto] + 1 end")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, table_by_source,
                  "local n = {} function on_packet(p) n[p.src4] = (n[p.src4] or 0) + p.len end")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, read_and_table,
                  "local n = {} function on_packet(p) local t = p:u16(12) n[t] = (n[t] or 0) + 1 end")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, counter_one_field,
                  "local c = engine.counter{ name = 'c', key = 'proto' } function on_packet(p) c:add(p) end")
    ->Apply(sizes);
BENCHMARK_CAPTURE(
    run_plugin, counter_two_fields,
    "local c = engine.counter{ name = 'c', key = { 'src', 'dst_port' } } function on_packet(p) c:add(p) end")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, topk_source,
                  "local c = engine.topk{ name = 'c', key = 'src' } function on_packet(p) c:add(p) end")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, record_two_fields,
                  "local r = engine.record{ name = 'r', {'src', 'ip'}, {'port', 'u16'} } function on_packet(p) "
                  "r:emit(p.src, p.dst_port) end")
    ->Apply(sizes);
BENCHMARK_CAPTURE(
    run_plugin, record_view,
    "local r = engine.record{ name = 'r', {'bytes', 'string'} } function on_packet(p) r:emit(p:view(0, 8)) end")
    ->Apply(sizes);

BENCHMARK_CAPTURE(run_plugin, flows_add,
                  "local flows = engine.flows{ name = 'f' } function on_packet(p) flows:add(p) end")
    ->Apply(sizes);
BENCHMARK_CAPTURE(
    run_plugin, flows_fields,
    "local flows = engine.flows{ name = 'f', user = { { 'n', 'u32' } } } function on_packet(p) local f = flows:add(p) "
    "if f and f.packets > 3 and f.state == 'new' then f.user.n = (f.user.n or 0) % 1000 + 1 end end")
    ->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
