// The flow table against absl::flat_hash_map: a million flows, lookups and inserts mixed, in batches.
//
// run: flow_bench [--benchmark_filter=...]. "ns" is per packet. Both sides get the same packets, make the same key of
// each (40 bytes, canonical), find or insert its flow, and count packet and bytes in it; the map holds the flows'
// structs themselves, has room reserved for all, and is measured with two hashes: the table's own, and absl's.
// "prefetched" is the map used as the table is: hashes of a batch first, its lines fetched by the map's own prefetch().
// `ratio` interleaves table and map in one process, batch by batch, and prints how many times as long the map takes.
#include <absl/container/flat_hash_map.h>
#include <absl/hash/hash.h>
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "plugins/flows/flow_table.h"

namespace {

constexpr std::uint32_t kFlows = 1'000'000;
constexpr std::uint32_t kKnown = 900'000;  // when measuring begins; the others come one in 16 packets
constexpr std::uint32_t kPackets = 1'600'000;

template <typename T>
void set(engine_packet& packet, std::size_t offset, T value) {
  std::memcpy(reinterpret_cast<std::byte*>(&packet) + offset, &value, sizeof value);
}

std::uint64_t next_random(std::uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// A packet of flow number `flow`, in one of its directions.
void fill(engine_packet& p, std::uint32_t flow, bool back, double time) {
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
  set(p, offsetof(engine_packet, src_port), back ? service : port);
  set(p, offsetof(engine_packet, dst_port), back ? port : service);
  set(p, offsetof(engine_packet, time), time);
  set(p, offsetof(engine_packet, ip_version), std::uint8_t{4});
  set(p, offsetof(engine_packet, proto), std::uint8_t{6});
  set(p, offsetof(engine_packet, tcp_flags), std::uint8_t{16});
  set(p, offsetof(engine_packet, tcp_seq), sequence += 100);
  set(p, offsetof(engine_packet, l4_off), std::uint16_t{34});
  set(p, offsetof(engine_packet, payload_off), std::uint16_t{54});
  set(p, offsetof(engine_packet, payload_len), 100u);
  set(p, offsetof(engine_packet, len), 154u);
  set(p, offsetof(engine_packet, caplen), 154u);
}

// Numbers of flows in the order of their packets: all that are known, then the measured mix.
struct Order {
  std::vector<std::uint32_t> known, mixed;
  Order() {
    std::uint64_t state = 88172645463325252u;
    for (std::uint32_t i = 0; i < kKnown; ++i) known.push_back(i);
    std::uint32_t flows = kKnown;
    for (std::uint32_t i = 0; i < kPackets; ++i) {
      const bool fresh = i % 16 == 0 && flows < kFlows;
      mixed.push_back(fresh ? flows++ : static_cast<std::uint32_t>(next_random(state) % flows));
    }
  }
};
const Order& order() {
  static const Order made;
  return made;
}

struct Key {
  std::uint64_t words[5];
  bool operator==(const Key& other) const { return plugins::same_key(words, other.words); }
  template <typename H>
  friend H AbslHashValue(H h, const Key& key) {
    return H::combine_contiguous(std::move(h), key.words, 5);
  }
};
struct OurHash {
  plugins::FlowSecrets secrets = plugins::random_secrets();
  std::size_t operator()(const Key& key) const { return plugins::hash_key(key.words, secrets); }
};

// The table as a plugin drives it; `full`: all that it learns of a packet, else the same as the map.
class OurTable {
 public:
  explicit OurTable(bool full) : full_(full), part_(options(), 1024), table_(options()) { table_.attach(part_); }
  void batch(const engine_packet* packets, std::uint32_t count) {
    table_.before_batch(packets, nullptr, count);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (full_) {
        benchmark::DoNotOptimize(table_.add(packets[i]));
        continue;
      }
      unsigned side = 0;
      engine_flow* flow = table_.find_or_begin(packets[i], side);
      ++flow->packets[side];
      flow->bytes[side] += packets[i].len;
    }
  }
  std::size_t size() const { return table_.size(); }

 private:
  static std::shared_ptr<const plugins::FlowOptions> options() {
    auto made = std::make_shared<plugins::FlowOptions>();
    made->max_flows = kFlows;
    made->idle_ns = 1e15;
    made->active_ns = 1e15;
    return made;
  }
  bool full_;
  plugins::FlowPart part_;
  plugins::FlowTable table_;
};

template <typename Hash, bool prefetched>
class Map {
 public:
  Map() { map_.reserve(kFlows); }
  void batch(const engine_packet* packets, std::uint32_t count) {
    plugins::FlowKey keys[256];
    for (std::uint32_t i = 0; i < count; ++i) {
      plugins::make_key(packets[i], keys[i]);
      if (prefetched) map_.prefetch(as_key(keys[i]));
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      engine_flow& flow = map_[as_key(keys[i])];
      ++flow.packets[keys[i].side];
      flow.bytes[keys[i].side] += packets[i].len;
    }
  }
  std::size_t size() const { return map_.size(); }

 private:
  static Key as_key(const plugins::FlowKey& key) {
    Key made;
    std::memcpy(made.words, key.words, sizeof made.words);
    return made;
  }
  absl::flat_hash_map<Key, engine_flow, Hash> map_;
};

template <typename Side>
void fill_known(Side& side) {
  std::vector<engine_packet> packets(256);
  const auto& known = order().known;
  for (std::size_t at = 0; at < known.size(); at += 256) {
    const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(256, known.size() - at));
    for (std::uint32_t i = 0; i < count; ++i) fill(packets[i], known[at + i], false, 1.0);
    side.batch(packets.data(), count);
  }
}

// The packets of a batch lie in the cache, as after decoding.
void fill_batch(std::vector<engine_packet>& packets, std::size_t at, std::uint32_t batch) {
  for (std::uint32_t i = 0; i < batch; ++i) {
    const std::uint32_t flow = order().mixed[at + i];
    fill(packets[i], flow, (flow ^ i) & 1, 2.0);
  }
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void table(benchmark::State& state, bool full) {
  const auto batch = static_cast<std::uint32_t>(state.range(0));
  std::vector<engine_packet> packets(256);
  double spent = 0;
  for (auto _ : state) {
    OurTable side(full);
    fill_known(side);
    double pass = 0;
    for (std::size_t at = 0; at + batch <= kPackets; at += batch) {
      fill_batch(packets, at, batch);
      const double begin = seconds();
      side.batch(packets.data(), batch);
      pass += seconds() - begin;
    }
    if (side.size() != kFlows) return state.SkipWithError("flows are missing");
    state.SetIterationTime(pass);
    spent += pass;
  }
  state.counters["ns"] = spent * 1e9 / static_cast<double>(state.iterations()) / kPackets;
}

template <typename Other>
void ratio(benchmark::State& state) {
  const auto batch = static_cast<std::uint32_t>(state.range(0));
  std::vector<engine_packet> packets(256);
  double ours = 0, theirs = 0;
  for (auto _ : state) {
    auto table = std::make_unique<OurTable>(false);
    auto map = std::make_unique<Other>();
    fill_known(*table);
    fill_known(*map);
    double table_s = 0, map_s = 0;
    for (std::size_t at = 0; at + batch <= kPackets; at += batch) {
      fill_batch(packets, at, batch);
      const double begin = seconds();
      table->batch(packets.data(), batch);
      const double middle = seconds();
      map->batch(packets.data(), batch);
      table_s += middle - begin;
      map_s += seconds() - middle;
    }
    if (table->size() != kFlows || map->size() != kFlows) return state.SkipWithError("flows are missing");
    state.SetIterationTime(table_s + map_s);
    ours += table_s;
    theirs += map_s;
  }
  state.counters["ratio"] = theirs / ours;
  state.counters["table_ns"] = ours * 1e9 / static_cast<double>(state.iterations()) / kPackets;
  state.counters["map_ns"] = theirs * 1e9 / static_cast<double>(state.iterations()) / kPackets;
}

using AbslHash = absl::Hash<Key>;
void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(64)->Arg(256)->UseManualTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK_TEMPLATE(ratio, Map<OurHash, false>)->Name("ratio/same_hash")->Apply(sizes);
BENCHMARK_TEMPLATE(ratio, Map<AbslHash, false>)->Name("ratio/absl_hash")->Apply(sizes);
BENCHMARK_TEMPLATE(ratio, Map<OurHash, true>)->Name("ratio/same_hash_prefetched")->Apply(sizes);
BENCHMARK_CAPTURE(table, same_work, false)->Apply(sizes);
BENCHMARK_CAPTURE(table, all_it_learns, true)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
