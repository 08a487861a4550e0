// DPDK's ring and hash in the contests of spsc_bench and flow_bench. Built only where libdpdk is installed.
//
// run: dpdk_bench [--benchmark_filter=...]; bench/micro puts its figures beside the others'. Memory without huge pages,
// no devices.
//   spsc/single   rte_ring, one producer and one consumer, an element at a time
//   spsc/batch64  bursts of 64 both ways
//   flows/update  rte_hash (CRC, extendable buckets): bulk lookup of a batch, what is not there added; the flows'
//   structs
//                 in an array by the key's position
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "bench/flow_rig.h"
#include "bench/spsc_rig.h"

namespace {

using bench::Record;
using bench::Sum;

template <std::size_t Bytes>
class Ring {
 public:
  Ring()
      : ring_(rte_ring_create_elem("bench", Bytes, bench::kQueueBytes / Bytes, SOCKET_ID_ANY,
                                   RING_F_SP_ENQ | RING_F_SC_DEQ)) {
    if (ring_ == nullptr) throw std::runtime_error(std::string("rte_ring_create_elem: ") + rte_strerror(rte_errno));
  }
  ~Ring() { rte_ring_free(ring_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  bool push(const Record<Bytes>& record) { return rte_ring_sp_enqueue_elem(ring_, as_void(&record), Bytes) == 0; }
  std::size_t push(const Record<Bytes>* records, std::size_t n) {
    return rte_ring_sp_enqueue_burst_elem(ring_, as_void(records), Bytes, static_cast<unsigned>(n), nullptr);
  }
  std::size_t pop_one(Sum<Bytes>& sum) {
    Record<Bytes> record;
    if (rte_ring_sc_dequeue_elem(ring_, &record, Bytes) != 0) return 0;
    sum(record);
    return 1;
  }
  std::size_t pop_many(Sum<Bytes>& sum) {
    std::array<Record<Bytes>, bench::kSpscBatch> records;
    const unsigned n = rte_ring_sc_dequeue_burst_elem(ring_, records.data(), Bytes, records.size(), nullptr);
    for (unsigned i = 0; i < n; ++i) sum(records[i]);
    return n;
  }

 private:
  static void* as_void(const Record<Bytes>* records) { return const_cast<Record<Bytes>*>(records); }  // only read
  rte_ring* ring_;
};

class HashTable {
 public:
  explicit HashTable(std::uint32_t flows) : flows_(flows + 1) {
    rte_hash_parameters parameters = {};
    parameters.name = "bench";
    parameters.entries = flows;
    parameters.key_len = sizeof(plugins::FlowKey::words);
    parameters.hash_func = rte_hash_crc;
    parameters.socket_id = SOCKET_ID_ANY;
    parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
    hash_ = rte_hash_create(&parameters);
    if (hash_ == nullptr) throw std::runtime_error(std::string("rte_hash_create: ") + rte_strerror(rte_errno));
  }
  ~HashTable() { rte_hash_free(hash_); }
  HashTable(const HashTable&) = delete;
  HashTable& operator=(const HashTable&) = delete;

  void batch(const engine_packet* packets, std::uint32_t count) {
    static_assert(bench::kFlowBatch <= RTE_HASH_LOOKUP_BULK_MAX);
    plugins::FlowKey keys[bench::kFlowBatch];
    const void* pointers[bench::kFlowBatch];
    std::int32_t places[bench::kFlowBatch];
    for (std::uint32_t i = 0; i < count; ++i) {
      plugins::make_key(packets[i], keys[i]);
      pointers[i] = keys[i].words;
    }
    rte_hash_lookup_bulk(hash_, pointers, count, places);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (places[i] < 0) places[i] = rte_hash_add_key(hash_, keys[i].words);
      if (places[i] < 0) continue;  // the flows that are missing then are said at the end
      engine_flow& flow = flows_[static_cast<std::uint32_t>(places[i])];
      ++flow.packets[keys[i].side];
      flow.bytes[keys[i].side] += packets[i].len;
    }
  }
  std::size_t size() const { return static_cast<std::size_t>(rte_hash_count(hash_)); }

 private:
  rte_hash* hash_;
  std::vector<engine_flow> flows_;
};

template <std::size_t Bytes>
void add_rings() {
  bench::add_spsc<Ring<Bytes>, Bytes, false>("dpdk");
  bench::add_spsc<Ring<Bytes>, Bytes, true>("dpdk");
}

bool start_dpdk(char* program) {
  std::string words[] = {"--no-huge", "-m", "1024", "--no-shconf", "--no-pci", "--no-telemetry", "--log-level=error"};
  std::vector<char*> arguments = {program};
  for (std::string& word : words) arguments.push_back(word.data());
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  const bool started = rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) >= 0;
  sched_setaffinity(0, sizeof allowed, &allowed);  // it binds the thread that calls it
  return started;
}

}  // namespace

int main(int count, char** arguments) {
  add_rings<8>();
  add_rings<16>();
  add_rings<32>();
  bench::add_flows("flows/update/dpdk", [](std::uint32_t flows) { return std::make_unique<HashTable>(flows); });
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  if (!start_dpdk(arguments[0])) {
    std::fprintf(stderr, "dpdk_bench: rte_eal_init: %s\n", rte_strerror(rte_errno));
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  rte_eal_cleanup();
  benchmark::Shutdown();
}
