// What the native structures cost per add, from C++ and through Lua: ns each.
//
// run: structure_bench [--benchmark_filter=...], or bench/micro --filter '^(structure|lua_structure)' for the ratios to
// "exact_cpp": the same told exactly, by the standard library's hash tables over the same addresses. The argument is
// the number of different keys, drawn evenly: 1,000 lie in the cache, a million do not. Packets come in batches of 64
// with before_batch(), as the worker gives them. nets: 1 M random networks, the longest match of random addresses, half
// of which lie in one.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "bench/plugin_rig.h"
#include "plugins/counter.h"
#include "plugins/distinct.h"
#include "plugins/histogram.h"
#include "plugins/map_table.h"
#include "plugins/net_table.h"
#include "plugins/rate_table.h"
#include "plugins/set_table.h"
#include "plugins/topk.h"

namespace {

using plugins::KeySpec;

constexpr std::uint32_t kBatch = 64;
constexpr std::uint32_t kMany = 1u << 20;
constexpr double kMinute = 60e9;

template <typename T>
void set(engine_packet& packet, std::size_t offset, T value) {
  std::memcpy(reinterpret_cast<std::byte*>(&packet) + offset, &value, sizeof value);
}

// So many packets that a run over them does not repeat what the cache still holds.
std::vector<engine_packet> traffic(std::uint32_t keys) {
  std::vector<engine_packet> packets(kMany);
  std::mt19937 random(7);
  for (std::uint32_t i = 0; i < packets.size(); ++i) {
    engine_packet& p = packets[i];
    std::memset(static_cast<void*>(&p), 0, sizeof p);
    const std::uint32_t host = random() % keys * 2654435761u;
    std::uint8_t source[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::memcpy(source + 12, &host, sizeof host);
    std::memcpy(reinterpret_cast<std::byte*>(&p) + offsetof(engine_packet, src), source, sizeof source);
    set(p, offsetof(engine_packet, time), i * 100.0);
    set(p, offsetof(engine_packet, dst_port), std::uint16_t{443});
    set(p, offsetof(engine_packet, ip_version), std::uint8_t{4});
    set(p, offsetof(engine_packet, len), 64 + random() % 1400);
  }
  return packets;
}

void report(benchmark::State& state, std::uint64_t done) { state.SetItemsProcessed(static_cast<std::int64_t>(done)); }

// One iteration is one batch.
template <typename Before, typename Add>
void run(benchmark::State& state, const Before& before, const Add& add) {
  const auto packets = traffic(static_cast<std::uint32_t>(state.range(0)));
  for (const auto& packet : packets) add(packet);
  std::uint32_t at = 0;
  std::uint64_t done = 0;
  for (auto _ : state) {
    before(&packets[at]);
    for (std::uint32_t i = 0; i < kBatch; ++i) add(packets[at + i]);
    at = (at + kBatch) % kMany;
    done += kBatch;
  }
  report(state, done);
}

struct Address {
  std::uint64_t words[2];
  bool operator==(const Address&) const = default;
};
struct AddressHash {
  std::size_t operator()(const Address& address) const noexcept {
    return (address.words[0] ^ address.words[1]) * 0x9e3779b97f4a7c15u;
  }
};
Address source_of(const engine_packet& packet) noexcept {
  Address source;
  std::memcpy(source.words, reinterpret_cast<const std::byte*>(&packet) + offsetof(engine_packet, src), sizeof source);
  return source;
}
template <typename Value>
using ExactMap = std::unordered_map<Address, Value, AddressHash>;

template <typename Add>
void exact(benchmark::State& state, const Add& add) {
  run(
      state, [](const engine_packet*) {}, add);
}

void exact_counter(benchmark::State& state) {
  struct Tally {
    std::uint64_t packets, bytes;
  };
  ExactMap<Tally> tallies;
  exact(state, [&](const engine_packet& p) {
    Tally& tally = tallies[source_of(p)];
    ++tally.packets;
    tally.bytes += p.len;
  });
}
void exact_distinct(benchmark::State& state) {
  std::unordered_set<Address, AddressHash> seen;
  exact(state, [&](const engine_packet& p) { seen.insert(source_of(p)); });
}
void exact_histogram(benchmark::State& state) {
  std::unordered_map<double, std::uint64_t> values;
  exact(state, [&](const engine_packet& p) { ++values[p.len]; });
}
void exact_map(benchmark::State& state) {
  struct Row {
    std::uint64_t fields[2];
  };
  ExactMap<Row> rows;
  exact(state, [&](const engine_packet& p) { benchmark::DoNotOptimize(rows[source_of(p)]); });
}
void exact_rate(benchmark::State& state) {
  struct Second {
    double began;
    std::uint64_t packets;
  };
  ExactMap<Second> seconds;
  exact(state, [&](const engine_packet& p) {
    Second& second = seconds[source_of(p)];
    if (p.time - second.began >= 1e9) second = {p.time, 0};
    benchmark::DoNotOptimize(++second.packets);
  });
}

template <typename Part, typename... Arguments>
void part(benchmark::State& state, Arguments... arguments) {
  Part structure(KeySpec::of({"src"}), arguments...);
  run(
      state, [](const engine_packet*) {}, [&](const engine_packet& p) { structure.add(p); });
}

void counter(benchmark::State& state) { part<plugins::Counter>(state, kMany); }
void topk(benchmark::State& state) { part<plugins::TopK>(state, 20u); }
void distinct(benchmark::State& state) { part<plugins::Distinct>(state); }

void histogram(benchmark::State& state) {
  plugins::Histogram structure(1e15, 2);
  run(
      state, [](const engine_packet*) {}, [&](const engine_packet& p) { structure.add(p.len); });
}

// With and without the prefetching of before_batch(); with a ttl, each touch moves the row in the list.
void map_put(benchmark::State& state, bool prefetch, bool ttl) {
  plugins::MapTable map(KeySpec::of({"src"}), 16, kMany, ttl ? kMinute : 0);
  plugins::MapPart part("map");
  map.attach(part);
  run(
      state,
      [&](const engine_packet* batch) {
        if (prefetch) map.before_batch(batch, nullptr, kBatch);
      },
      [&](const engine_packet& p) { benchmark::DoNotOptimize(map.put(p)); });
}

void set_add(benchmark::State& state) {
  plugins::SetTable set(KeySpec::of({"src"}), kMany, 0, true);
  plugins::SetPart part(KeySpec::of({"src"}), kMany, false);
  set.attach(part);
  run(
      state, [&](const engine_packet* batch) { set.before_batch(batch, nullptr, kBatch); },
      [&](const engine_packet& p) { benchmark::DoNotOptimize(set.add(p)); });
}

void rate_add(benchmark::State& state) {
  plugins::RateTable rate(KeySpec::of({"src"}), kMany, 1e9, 1e12, false);
  plugins::RatePart part(KeySpec::of({"src"}), kMany, 1e9, 1e12, false);
  rate.attach(part);
  run(
      state, [&](const engine_packet* batch) { rate.before_batch(batch, nullptr, kBatch); },
      [&](const engine_packet& p) { benchmark::DoNotOptimize(rate.add(p)); });
}

engine_addr address_of(bool v4, std::uint64_t high, std::uint64_t low) {
  if (v4) return {0, 0xffff0000u | high << 32};
  return {__builtin_bswap64(0x2000000000000000 | high >> 3), __builtin_bswap64(low)};
}

// As in a routing table: most networks are /24 (IPv4) or /48 (IPv6), the others shorter.
void nets_match(benchmark::State& state, bool v4) {
  std::mt19937_64 random(3);
  plugins::NetTable nets;
  nets.reserve(kMany);
  std::vector<engine_addr> asked;
  for (std::uint32_t i = 0; i < kMany; ++i) {
    const std::uint64_t high = v4 ? static_cast<std::uint32_t>(random()) : random();
    const std::uint32_t length = v4 ? 96 + (i % 3 != 0 ? 24 : 16 + random() % 8) : i % 3 != 0 ? 48 : 29 + random() % 19;
    const engine_addr net = address_of(v4, high, 0);
    nets.add(net, length, 0);
    asked.push_back(i % 2 == 0 ? net : address_of(v4, v4 ? static_cast<std::uint32_t>(random()) : random(), random()));
  }
  std::shuffle(asked.begin(), asked.end(), random);
  std::uint32_t at = 0, found = 0;
  for (auto _ : state) {
    found += nets.match(asked[at]) != 0 ? 1 : 0;
    at = (at + 1) % kMany;
  }
  benchmark::DoNotOptimize(found);
  report(state, state.iterations());
}

// Through Lua, at batches of 64.
void lua(benchmark::State& state, const char* code) {
  const auto all = traffic(static_cast<std::uint32_t>(state.range(0)));
  const std::vector<std::uint8_t> frames(bench::kRigCapacity * 64);
  bench::PluginRig rig(code, std::span(all).first(300), frames.data());
  std::uint32_t at = 0;
  const auto batch = [&] {
    rig.give(std::span(all).subspan(at, kBatch));
    rig.run(kBatch);
    at = (at + kBatch) % kMany;
  };
  for (std::uint32_t i = 0; i < kMany / kBatch; ++i) batch();
  std::uint64_t done = 0;
  for (auto _ : state) {
    batch();
    done += kBatch;
  }
  report(state, done);
  if (rig.state().statistics().errors != 0) state.SkipWithError("the plugin failed");
}

void cached_and_not(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(1000)->Arg(kMany); }

BENCHMARK(counter)->Name("structure/counter/engine")->Apply(cached_and_not);
BENCHMARK(exact_counter)->Name("structure/counter/exact_cpp")->Apply(cached_and_not);
BENCHMARK(topk)->Name("structure/topk/engine")->Apply(cached_and_not);
BENCHMARK(exact_counter)->Name("structure/topk/exact_cpp")->Apply(cached_and_not);
BENCHMARK(distinct)->Name("structure/distinct/engine")->Apply(cached_and_not);
BENCHMARK(exact_distinct)->Name("structure/distinct/exact_cpp")->Apply(cached_and_not);
BENCHMARK(histogram)->Name("structure/histogram/engine")->Arg(1000);
BENCHMARK(exact_histogram)->Name("structure/histogram/exact_cpp")->Arg(1000);
BENCHMARK_CAPTURE(map_put, rows, true, false)->Name("structure/map/engine")->Apply(cached_and_not);
BENCHMARK_CAPTURE(map_put, late, false, false)->Name("structure/map/engine_not_prefetched")->Apply(cached_and_not);
BENCHMARK(exact_map)->Name("structure/map/exact_cpp")->Apply(cached_and_not);
BENCHMARK_CAPTURE(map_put, ttl, true, true)->Name("structure/map_with_ttl/engine")->Apply(cached_and_not);
BENCHMARK(set_add)->Name("structure/set/engine")->Apply(cached_and_not);
BENCHMARK(exact_distinct)->Name("structure/set/exact_cpp")->Apply(cached_and_not);
BENCHMARK(rate_add)->Name("structure/rate/engine")->Apply(cached_and_not);
BENCHMARK(exact_rate)->Name("structure/rate/exact_cpp")->Apply(cached_and_not);
BENCHMARK_CAPTURE(nets_match, ipv4, true)->Name("structure/nets_ipv4/engine")->Arg(kMany);
BENCHMARK_CAPTURE(nets_match, ipv6, false)->Name("structure/nets_ipv6/engine")->Arg(kMany);
BENCHMARK_CAPTURE(lua, empty, "function on_packet(p) end")->Name("lua_structure/empty/engine")->Arg(1000);
BENCHMARK_CAPTURE(lua, counter,
                  "local c = engine.counter{ name = 'c', key = 'src' } function on_packet(p) c:add(p) end")
    ->Name("lua_structure/counter/engine")
    ->Arg(1000);
BENCHMARK_CAPTURE(lua, distinct,
                  "local c = engine.distinct{ name = 'c', key = 'src' } function on_packet(p) c:add(p) end")
    ->Name("lua_structure/distinct/engine")
    ->Arg(1000);
BENCHMARK_CAPTURE(lua, distinct_value, "local c = engine.distinct{ name = 'c' } function on_packet(p) c:add(p.src) end")
    ->Name("lua_structure/distinct_value/engine")
    ->Arg(1000);
BENCHMARK_CAPTURE(lua, histogram, "local c = engine.histogram{ name = 'c' } function on_packet(p) c:add(p.len) end")
    ->Name("lua_structure/histogram/engine")
    ->Arg(1000);
BENCHMARK_CAPTURE(
    lua, map_put,
    "local m = engine.map{ key = 'src', fields = { { 'bytes', 'u64' }, { 'last', 'time' } }, max = 1048576 } "
    "function on_packet(p) local e = m:put(p) e.bytes = e.bytes + p.len e.last = p.time end")
    ->Name("lua_structure/map_put/engine")
    ->Arg(1000)
    ->Arg(kMany);
BENCHMARK_CAPTURE(
    lua, map_value,
    "local m = engine.map{ key = 'ip', fields = { { 'bytes', 'u64' }, { 'last', 'time' } }, max = 1048576 } "
    "function on_packet(p) local e = m:put(p.src) e.bytes = e.bytes + p.len e.last = p.time end")
    ->Name("lua_structure/map_value/engine")
    ->Arg(1000);
BENCHMARK_CAPTURE(lua, set, "local s = engine.set{ key = 'src' } function on_packet(p) s:add(p) end")
    ->Name("lua_structure/set/engine")
    ->Arg(1000);
BENCHMARK_CAPTURE(lua, set_value, "local s = engine.set{ key = 'ip' } function on_packet(p) s:add(p.src) end")
    ->Name("lua_structure/set_value/engine")
    ->Arg(1000);
BENCHMARK_CAPTURE(lua, nets,
                  "local n, c = engine.nets{ items = { '10.0.0.0/8', '0.0.0.0/1' } }, 0 "
                  "function on_packet(p) if n:has(p.src) then c = c + 1 end end")
    ->Name("lua_structure/nets/engine")
    ->Arg(1000);
BENCHMARK_CAPTURE(lua, nets_tag,
                  "local n, c = engine.nets{ items = { ['10.0.0.0/8'] = 'lan', ['0.0.0.0/1'] = 'low' } }, 0 "
                  "function on_packet(p) if n:match(p.src) == 'low' then c = c + 1 end end")
    ->Name("lua_structure/nets_tag/engine")
    ->Arg(1000);
BENCHMARK_CAPTURE(lua, rate,
                  "local r = engine.rate{ name = 'r', key = 'src', above = 1e12 } function on_packet(p) r:add(p) end")
    ->Name("lua_structure/rate/engine")
    ->Arg(1000);

// The same structures from C++, for the ratio.
BENCHMARK(counter)->Name("lua_structure/counter/cpp")->Arg(1000);
BENCHMARK(distinct)->Name("lua_structure/distinct/cpp")->Arg(1000);
BENCHMARK(histogram)->Name("lua_structure/histogram/cpp")->Arg(1000);
BENCHMARK_CAPTURE(map_put, as_lua, true, false)->Name("lua_structure/map_put/cpp")->Arg(1000)->Arg(kMany);
BENCHMARK(set_add)->Name("lua_structure/set/cpp")->Arg(1000);
BENCHMARK(rate_add)->Name("lua_structure/rate/cpp")->Arg(1000);

}  // namespace

BENCHMARK_MAIN();
