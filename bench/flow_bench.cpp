// The flow table against absl::flat_hash_map and std::unordered_map: lookups and inserts mixed, in batches of 64.
//
// run: flow_bench [--benchmark_filter=...], or bench/micro --filter flows for the ratios. What is measured: flow_rig.h.
// A map holds the flows' structs themselves and has room reserved for all. "prefetched" is absl's map used as the table
// is: with the table's hash, hashes of a batch first, its lines fetched by the map's own prefetch().
#include "bench/flow_rig.h"
#ifdef HAVE_ABSL
#include <absl/container/flat_hash_map.h>
#include <absl/hash/hash.h>
#endif

#include <unordered_map>

namespace {

struct Key {
  std::uint64_t words[5];
  bool operator==(const Key& other) const { return plugins::same_key(words, other.words); }
#ifdef HAVE_ABSL
  template <typename H>
  friend H AbslHashValue(H h, const Key& key) {
    return H::combine_contiguous(std::move(h), key.words, 5);
  }
#endif
};
struct OurHash {
  plugins::FlowSecrets secrets = plugins::random_secrets();
  std::size_t operator()(const Key& key) const { return plugins::hash_key(key.words, secrets); }
};

// The table as a plugin drives it; `full`: all that it learns of a packet, else the same as the maps.
class EngineTable {
 public:
  EngineTable(std::uint32_t flows, bool full) : full_(full), part_(options(flows), 1024), table_(options(flows)) {
    table_.attach(part_);
  }
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
  static std::shared_ptr<const plugins::FlowOptions> options(std::uint32_t flows) {
    auto made = std::make_shared<plugins::FlowOptions>();
    made->max_flows = flows;
    made->idle_ns = 1e15;
    made->active_ns = 1e15;
    return made;
  }
  bool full_;
  plugins::FlowPart part_;
  plugins::FlowTable table_;
};

template <typename Map, bool prefetched>
class MapTable {
 public:
  explicit MapTable(std::uint32_t flows) { map_.reserve(flows); }
  void batch(const engine_packet* packets, std::uint32_t count) {
    plugins::FlowKey keys[bench::kFlowBatch];
    for (std::uint32_t i = 0; i < count; ++i) {
      plugins::make_key(packets[i], keys[i]);
      if constexpr (prefetched) map_.prefetch(as_key(keys[i]));
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
  Map map_;
};

template <typename Table, typename... More>
auto maker(More... more) {
  return [more...](std::uint32_t flows) { return std::make_unique<Table>(flows, more...); };
}

}  // namespace

int main(int count, char** arguments) {
  bench::add_flows("flows/update/engine", maker<EngineTable>(false));
#ifdef HAVE_ABSL
  bench::add_flows("flows/update/absl", maker<MapTable<absl::flat_hash_map<Key, engine_flow>, false>>());
  bench::add_flows("flows/update/absl_prefetched",
                   maker<MapTable<absl::flat_hash_map<Key, engine_flow, OurHash>, true>>());
#endif
  bench::add_flows("flows/update/unordered_map",
                   maker<MapTable<std::unordered_map<Key, engine_flow, OurHash>, false>>());
  bench::add_flows("flows/all_it_learns/engine", maker<EngineTable>(true));
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
