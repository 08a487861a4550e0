// What a plugin costs per packet: one state over packets that are decoded already, at the worker's batch sizes.
//
// run: lua_bench [--benchmark_filter=...], or bench/micro --filter '^lua/' for the ratios to "cpp", the same in C++
// over the same packets. "garbage" is bytes that Lua allocated per packet. Packets differ (three protocols, 1,000
// sources, 500 ports): one key repeated would measure how fast a store is forwarded to the next load. Frames are in the
// cache: what a cold frame costs is in `engine bench pipeline`.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/plugin_rig.h"
#include "plugins/counter.h"
#include "plugins/flows/flow_table.h"
#include "plugins/topk.h"

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
  state.SetItemsProcessed(static_cast<std::int64_t>(done));
  state.counters["garbage"] = grown_bytes / 1e6;
  if (rig.state().statistics().errors != 0) state.SkipWithError("the plugin failed");
}

// The same packets, warmed up as long. Add: what is done with one.
template <typename Before, typename Add>
void run_cpp(benchmark::State& state, const Before& before, const Add& add) {
  const std::vector<engine_packet> packets = traffic(kCapacity + 1, 99);
  const auto batch = static_cast<std::uint32_t>(state.range(0));
  const auto run = [&] {
    before(packets.data(), batch);
    for (std::uint32_t i = 0; i < batch; ++i) add(packets[i]);
    benchmark::ClobberMemory();
  };
  for (std::uint32_t i = 0; i < 1'000'000 / batch; ++i) run();
  std::uint64_t done = 0;
  for (auto _ : state) {
    run();
    done += batch;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(done));
}

constexpr auto kNothingBefore = [](const engine_packet*, std::uint32_t) {};

void cpp_count(benchmark::State& state) {
  std::array<double, 256> counts = {};
  benchmark::DoNotOptimize(counts.data());
  run_cpp(state, kNothingBefore, [&](const engine_packet& p) { counts[p.proto] += 1; });
}
void cpp_table(benchmark::State& state) {
  std::unordered_map<std::uint32_t, double> bytes;
  run_cpp(state, kNothingBefore, [&](const engine_packet& p) { bytes[p.src4] += p.len; });
}
template <typename Part>
void cpp_part(benchmark::State& state, std::initializer_list<std::string_view> key) {
  Part part(plugins::KeySpec::of(key));
  run_cpp(state, kNothingBefore, [&](const engine_packet& p) { part.add(p); });
}
void cpp_counter_one(benchmark::State& state) { cpp_part<plugins::Counter>(state, {"proto"}); }
void cpp_counter_two(benchmark::State& state) { cpp_part<plugins::Counter>(state, {"src", "dst_port"}); }
void cpp_topk(benchmark::State& state) { cpp_part<plugins::TopK>(state, {"src"}); }
void cpp_flows(benchmark::State& state) {
  const auto options = std::make_shared<plugins::FlowOptions>();
  plugins::FlowPart part(options, 1024);
  plugins::FlowTable table(options);
  table.attach(part);
  run_cpp(
      state, [&](const engine_packet* packets, std::uint32_t count) { table.before_batch(packets, nullptr, count); },
      [&](const engine_packet& p) { benchmark::DoNotOptimize(table.add(p)); });
}

void sizes(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(16)->Arg(64)->Arg(256); }

BENCHMARK_CAPTURE(run_plugin, empty, "function on_packet(p) end")->Name("lua/empty/engine")->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, count_by_protocol,
                  "local n = {} for i = 0, 255 do n[i] = 0 end function on_packet(p) n[p.proto] = n[p.proto] + 1 end")
    ->Name("lua/count_by_protocol/engine")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, table_by_source,
                  "local n = {} function on_packet(p) n[p.src4] = (n[p.src4] or 0) + p.len end")
    ->Name("lua/table_by_source/engine")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, read_and_table,
                  "local n = {} function on_packet(p) local t = p:u16(12) n[t] = (n[t] or 0) + 1 end")
    ->Name("lua/read_and_table/engine")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, counter_one_field,
                  "local c = engine.counter{ name = 'c', key = 'proto' } function on_packet(p) c:add(p) end")
    ->Name("lua/counter_one_field/engine")
    ->Apply(sizes);
BENCHMARK_CAPTURE(
    run_plugin, counter_two_fields,
    "local c = engine.counter{ name = 'c', key = { 'src', 'dst_port' } } function on_packet(p) c:add(p) end")
    ->Name("lua/counter_two_fields/engine")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, topk_source,
                  "local c = engine.topk{ name = 'c', key = 'src' } function on_packet(p) c:add(p) end")
    ->Name("lua/topk_source/engine")
    ->Apply(sizes);
BENCHMARK_CAPTURE(run_plugin, record_two_fields,
                  "local r = engine.record{ name = 'r', {'src', 'ip'}, {'port', 'u16'} } function on_packet(p) "
                  "r:emit(p.src, p.dst_port) end")
    ->Name("lua/record_two_fields/engine")
    ->Apply(sizes);
BENCHMARK_CAPTURE(
    run_plugin, record_view,
    "local r = engine.record{ name = 'r', {'bytes', 'string'} } function on_packet(p) r:emit(p:view(0, 8)) end")
    ->Name("lua/record_view/engine")
    ->Apply(sizes);

BENCHMARK_CAPTURE(run_plugin, flows_add,
                  "local flows = engine.flows{ name = 'f' } function on_packet(p) flows:add(p) end")
    ->Name("lua/flows_add/engine")
    ->Apply(sizes);
BENCHMARK_CAPTURE(
    run_plugin, flows_fields,
    "local flows = engine.flows{ name = 'f', user = { { 'n', 'u32' } } } function on_packet(p) local f = flows:add(p) "
    "if f and f.packets > 3 and f.state == 'new' then f.user.n = (f.user.n or 0) % 1000 + 1 end end")
    ->Name("lua/flows_fields/engine")
    ->Apply(sizes);

BENCHMARK(cpp_count)->Name("lua/count_by_protocol/cpp")->Apply(sizes);
BENCHMARK(cpp_table)->Name("lua/table_by_source/cpp")->Apply(sizes);
BENCHMARK(cpp_counter_one)->Name("lua/counter_one_field/cpp")->Apply(sizes);
BENCHMARK(cpp_counter_two)->Name("lua/counter_two_fields/cpp")->Apply(sizes);
BENCHMARK(cpp_topk)->Name("lua/topk_source/cpp")->Apply(sizes);
BENCHMARK(cpp_flows)->Name("lua/flows_add/cpp")->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
