// What the engine's own calls into the kernel cost over the bare system calls: programs loaded, attached, maps read.
// Needs root; in a network namespace of its own, with a veth pair.
//
// run: kernel_bench [--benchmark_filter=...], or bench/micro --filter kernel for the ratios.
//
//   load_filter  "udp port 53" from text to program; bare: BPF_PROG_LOAD of the same instructions
//   load_root    the root program with its maps; bare: the calls that make them, recorded from such a load
//   (bpf_recorder.h) attach       natively to a veth, with what checks and reads back; bare: BPF_LINK_CREATE. Detaching
//   is not measured read_entry   a bypassed flow's figures from a hash; bare: BPF_MAP_LOOKUP_ELEM read_counters  the
//   ledger's counters of a queue, per CPU and added up; bare: as above read_all     each entry of 100,000 in a hash;
//   bare: BPF_MAP_LOOKUP_BATCH, 4,096 at a time
#include <benchmark/benchmark.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/bpf_recorder.h"
#include "bpf/cbpf.h"
#include "bpf/filter.h"
#include "bpf/kernel_error.h"
#include "bpf/map_entries.h"
#include "bpf/options.h"
#include "bpf/root_program.h"
#include "root.skel.h"

namespace {

using engine::UniqueFd;

constexpr const char* kFilter = "udp port 53";
constexpr const char* kInterface = "bench0";
constexpr std::uint32_t kEntries = 100'000, kReadBatch = 4096;

template <class Work>
double cpu_seconds_of(const Work& work) {
  const double begin_ns = bench::thread_cpu_ns();
  work();
  return (bench::thread_cpu_ns() - begin_ns) / 1e9;
}

// An attachment waits in the kernel.
template <class Work>
double wall_seconds_of(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

long bare(int command, bpf_attr& attributes) { return syscall(SYS_bpf, command, &attributes, sizeof attributes); }

bpf_attr no_attributes() {
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  return attributes;
}

std::uint64_t pointer(const void* to) { return reinterpret_cast<std::uintptr_t>(to); }

// Loads once more, untimed: the first asks the kernel what it can do, and faults pages in.
template <class Load>
void load_each(benchmark::State& state, const Load& load) {
  load();
  for (auto _ : state) load();
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

UniqueFd make_slots() {
  const bpf::Options<bpf_map_create_opts> options;
  return UniqueFd(bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "slots", 4, 4, ROOT_SLOT_COUNT, &options));
}

void load_filter(benchmark::State& state) {
  const UniqueFd slots = make_slots();
  load_each(state, [&] { bpf::load_filter(kFilter, slots.get()); });
}

void load_filter_bare(benchmark::State& state) {
  const UniqueFd slots = make_slots();
  const auto code = bpf::translate_for_xdp(bpf::compile_expression(kFilter),
                                           {.slots_fd = slots.get(), .match_slot = 0, .no_match_slot = 1});
  load_each(state, [&] {
    bpf_attr attributes = no_attributes();
    attributes.prog_type = BPF_PROG_TYPE_XDP;
    attributes.expected_attach_type = BPF_XDP;
    attributes.insns = pointer(code.data());
    attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
    attributes.license = pointer("Dual MIT/GPL");
    const UniqueFd program(static_cast<int>(bare(BPF_PROG_LOAD, attributes)));
    if (!program.valid()) state.SkipWithError(strerror(errno));
  });
}

void load_root(benchmark::State& state) {
  bpf::RootProgram::load({});
  for (auto _ : state) {
    std::unique_ptr<bpf::RootProgram> root;
    state.SetIterationTime(
        cpu_seconds_of([&] { root = std::make_unique<bpf::RootProgram>(bpf::RootProgram::load({})); }));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

void load_root_bare(benchmark::State& state) {
  bpf::RootProgram::load({});  // so that questions to the kernel are not recorded
  bench::BpfRecording recording;
  recording.start();
  bpf::RootProgram::load({});
  recording.stop();
  for (auto _ : state) {
    const double spent_ns = recording.replay_ns();
    if (spent_ns < 0) return state.SkipWithError("a recorded call was refused");
    state.SetIterationTime(spent_ns / 1e9);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

// As build_root() (bpf/root_build.cpp) has it for a configuration of nothing but one queue.
bool load_by_libbpf() {
  const std::unique_ptr<root_bpf, decltype(&root_bpf::destroy)> root(root_bpf::open(nullptr), &root_bpf::destroy);
  if (!root) return false;
  for (bpf_map* map : {root->maps.root_now, root->maps.root_block, root->maps.root_block_nets, root->maps.root_bypass,
                       root->maps.root_rates, root->maps.root_slots})
    bpf_map__set_autocreate(map, false);
  bpf_map__set_max_entries(root->maps.root_counts, 1);
  bpf_map__set_max_entries(root->maps.root_sockets, 1);
  bpf_program__set_autoload(root->progs.root_deliver, false);
  bpf_program__set_autoload(root->progs.root_pass, false);
  return root_bpf::load(root.get()) == 0;
}

void load_root_libbpf(benchmark::State& state) {
  const bpf::QuietLibbpf quiet;
  load_by_libbpf();
  for (auto _ : state) {
    bool good = false;
    state.SetIterationTime(cpu_seconds_of([&] { good = load_by_libbpf(); }));
    if (!good) return state.SkipWithError("the root program does not load");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

void attach(benchmark::State& state) {
  const bpf::RootProgram root = bpf::RootProgram::load({});
  const unsigned ifindex = if_nametoindex(kInterface);
  for (auto _ : state) {
    bpf::XdpLink link;
    state.SetIterationTime(wall_seconds_of([&] {
      link = bpf::XdpLink::attach(root.program_fd(), ifindex, kInterface, bpf::AttachRequest::native,
                                  bpf::Foreign::refuse);
    }));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

void attach_bare(benchmark::State& state) {
  const bpf::RootProgram root = bpf::RootProgram::load({});
  const unsigned ifindex = if_nametoindex(kInterface);
  for (auto _ : state) {
    bpf_attr attributes = no_attributes();
    attributes.link_create.prog_fd = static_cast<std::uint32_t>(root.program_fd());
    attributes.link_create.target_ifindex = ifindex;
    attributes.link_create.attach_type = BPF_XDP;
    attributes.link_create.flags = 1U << 2;  // XDP_FLAGS_DRV_MODE
    UniqueFd link;
    state.SetIterationTime(wall_seconds_of([&] { link.reset(static_cast<int>(bare(BPF_LINK_CREATE, attributes))); }));
    if (!link.valid()) return state.SkipWithError(strerror(errno));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

// A hash with all its entries, keys in the order of their numbers.
UniqueFd full_hash() {
  const bpf::Options<bpf_map_create_opts> options;
  UniqueFd map(bpf_map_create(BPF_MAP_TYPE_HASH, "entries", sizeof(root_block_address), sizeof(root_flow_counters),
                              kEntries, &options));
  if (!map.valid()) throw bpf::kernel_error("make a hash", errno);
  std::vector<root_block_address> keys(kEntries);
  for (std::uint32_t i = 0; i < kEntries; ++i) std::memcpy(keys[i].bytes, &i, sizeof i);
  bpf::put_entries<root_block_address>(map.get(), keys, root_flow_counters{1, 64}, "fill a hash");
  return map;
}

void read_all(benchmark::State& state) {
  const UniqueFd map = full_hash();
  for (auto _ : state) {
    std::uint64_t packets = 0;
    bpf::each_entry(map.get(), sizeof(root_block_address), sizeof(root_flow_counters),
                    [&](const void*, const void* value) {
                      root_flow_counters counters;
                      std::memcpy(&counters, value, sizeof counters);
                      packets += counters.packets;
                    });
    if (packets != kEntries) return state.SkipWithError("entries are missing");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kEntries);
}

void read_all_bare(benchmark::State& state) {
  const UniqueFd map = full_hash();
  std::vector<root_block_address> keys(kReadBatch);
  std::vector<root_flow_counters> values(kReadBatch);
  for (auto _ : state) {
    std::uint32_t from = 0, to = 0, seen = 0;
    for (bool first = true, more = true; more; first = false, from = to) {
      bpf_attr attributes = no_attributes();
      attributes.batch.map_fd = static_cast<std::uint32_t>(map.get());
      attributes.batch.in_batch = first ? 0 : pointer(&from);
      attributes.batch.out_batch = pointer(&to);
      attributes.batch.keys = pointer(keys.data());
      attributes.batch.values = pointer(values.data());
      attributes.batch.count = kReadBatch;
      more = bare(BPF_MAP_LOOKUP_BATCH, attributes) == 0;
      if (!more && errno != ENOENT) return state.SkipWithError(strerror(errno));
      seen += attributes.batch.count;
    }
    if (seen != kEntries) return state.SkipWithError("entries are missing");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kEntries);
}

// The root program, and one flow that is bypassed.
struct Lists {
  root_flow flow = {};
  bpf::RootProgram root;
  Lists() : root(bpf::RootProgram::load(config())) {
    flow.protocol = 17;
    if (const int error = root.bypass(flow); error != 0) throw bpf::kernel_error("bypass a flow", error);
  }
  static bpf::RootConfig config() {
    bpf::RootConfig made;
    made.bypass_flows = 1000;
    return made;
  }
};

void read_entry(benchmark::State& state) {
  Lists lists;
  root_flow_counters counters;
  for (auto _ : state)
    if (lists.root.lists().bypass_counters(lists.flow, counters) != 0) return state.SkipWithError("it is not there");
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

void lookup(benchmark::State& state, int map_fd, const void* key, void* value) {
  for (auto _ : state) {
    bpf_attr attributes = no_attributes();
    attributes.map_fd = static_cast<std::uint32_t>(map_fd);
    attributes.key = pointer(key);
    attributes.value = pointer(value);
    if (bare(BPF_MAP_LOOKUP_ELEM, attributes) != 0) return state.SkipWithError(strerror(errno));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

void read_entry_bare(benchmark::State& state) {
  Lists lists;
  root_flow_counters counters;
  lookup(state, lists.root.lists().held().flows.get(), &lists.flow, &counters);
}

void read_counters(benchmark::State& state) {
  const bpf::RootProgram root = bpf::RootProgram::load({});
  for (auto _ : state) benchmark::DoNotOptimize(root.counters(0));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

// The program's map of that name.
UniqueFd map_of(int program_fd, const std::string& name) {
  std::uint32_t ids[16] = {};
  bpf_prog_info info = {};
  info.nr_map_ids = std::size(ids);
  info.map_ids = pointer(ids);
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0) throw bpf::kernel_error("read the program's maps", errno);
  for (const std::uint32_t id : std::span(ids, std::min<std::size_t>(info.nr_map_ids, std::size(ids)))) {
    UniqueFd map(bpf_map_get_fd_by_id(id));
    bpf_map_info found = {};
    size = sizeof found;
    if (bpf_obj_get_info_by_fd(map.get(), &found, &size) == 0 && name == found.name) return map;
  }
  throw bpf::kernel_error("find the map " + name, ENOENT);
}

void read_counters_bare(benchmark::State& state) {
  const bpf::RootProgram root = bpf::RootProgram::load({});
  const UniqueFd counts = map_of(root.program_fd(), "root_counts");
  std::vector<root_counters> by_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  const std::uint32_t queue = 0;
  lookup(state, counts.get(), &queue, by_cpu.data());
}

BENCHMARK(load_filter)->Name("kernel/load_filter/engine");
BENCHMARK(load_filter_bare)->Name("kernel/load_filter/system_call");
BENCHMARK(load_root)->Name("kernel/load_root/engine")->UseManualTime();
BENCHMARK(load_root_bare)->Name("kernel/load_root/system_call")->UseManualTime();
BENCHMARK(load_root_libbpf)->Name("kernel/load_root/libbpf")->UseManualTime();
BENCHMARK(attach)->Name("kernel/attach/engine")->UseManualTime();
BENCHMARK(attach_bare)->Name("kernel/attach/system_call")->UseManualTime();
BENCHMARK(read_entry)->Name("kernel/read_entry/engine");
BENCHMARK(read_entry_bare)->Name("kernel/read_entry/system_call");
BENCHMARK(read_counters)->Name("kernel/read_counters/engine");
BENCHMARK(read_counters_bare)->Name("kernel/read_counters/system_call");
BENCHMARK(read_all)->Name("kernel/read_all/engine");
BENCHMARK(read_all_bare)->Name("kernel/read_all/system_call");

bool make_interface() {
  return unshare(CLONE_NEWNET) == 0 &&
         std::system(
             "ip link add bench0 type veth peer name bench1 && ip link set bench1 up && ip link set bench0 up") == 0;
}

}  // namespace

int main(int count, char** arguments) {
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  if (geteuid() != 0 || !make_interface()) {
    std::fprintf(stderr, "kernel_bench: needs root, for programs, maps and a network namespace\n");
    return 3;
  }
  try {
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernel_bench: %s\n", error.what());
    return 1;
  }
  benchmark::Shutdown();
}
