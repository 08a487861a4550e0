// The warm-up of a new state: set-up, on the main thread.
//
// What the JIT compiler makes of a loop depends on what it sees first: trained on small batches, a loop stays four
// times slower for good. So a new state sees full batches of built-in traffic before its first real packet. To leave
// the plugin's own state clean, this is done by dry instances: the plugin's chunk is run again and again in fresh
// environments. Its functions are new closures of the same prototypes each time, and LuaJIT specialises traces to
// prototypes instead of closures once a prototype has three closures (PROTO_CLC_POLY, lj_func.c and
// lj_record.c:rec_call_specialize). The real instance is just one more, and runs in the traces that the dry ones left.
#include <algorithm>
#include <cstring>
#include <ctime>

#include "plugins/impl.h"
#include "plugins/marks.h"
#include "plugins/requests.h"

namespace plugins {
namespace {

constexpr int kPolyClosures = 3;
// After those: how many packets each round goes on by. What follows what is a path of its own, so the order changes.
// Every eighth one is what plugins that parse look for, connections from their beginning to their end.
constexpr std::size_t kSteps[] = {1, 1, 8, 3, 1, 8, 5, 8};
constexpr int kDryRounds = std::size(kSteps);
constexpr std::uint32_t kBatchesPerRound = 24;
constexpr std::uint32_t kBatchSizes[] = {256, 64, 16};  // full ones first
// This clock is a system call, and costs more than most plugins' packet.
constexpr std::size_t kPacketsPerLook = 32;
constexpr std::size_t kStride = 1;  // so that every packet is once the first of a batch: that has a trace of its own
// For plugins that are slow, many times what others need: on a machine whose cores and caches are shared with others
// the same work takes several times as much of the thread's time, and a warm-up that is cut short leaves its compiling
// to the first packets.
constexpr std::uint64_t kRoundLimit_ns = 150'000'000;
constexpr std::uint64_t kWarmUpLimit_ns = 600'000'000;
constexpr double kLong_ns = 86'400e9;  // a day
constexpr std::size_t kScratch_bytes = 64u << 10;
constexpr int kTicks = 64;  // a round: a function is compiled when it has been called 112 times
constexpr std::uint64_t kTicksLimit_ns = 15'000'000;

// The thread's own: on a busy machine a warm-up takes longer, but is not cut short.
std::uint64_t cpu_time_ns() noexcept {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

// Where the dry instances are in the built-in traffic, and memory for what they say.
struct DryPass {
  std::vector<std::uint8_t> memory;
  std::size_t at;
  std::size_t step;

  engine_outbox outbox() noexcept { return {memory.data(), 0, static_cast<std::uint32_t>(memory.size()), 0, 0}; }
  void go_on(std::size_t size) noexcept {
    at += step;
    if (at < size) return;
    at = (at + (step > 1 && size % step == 0 ? 1 : 0)) % size;  // the packets between, next time
  }
};

void State::Impl::warm_up() {
  if (bound.traffic.packets.empty()) return;
  // A side exit becomes a trace of its own after 10 visits; dry rounds are short, so they count double and more.
  run_text("jit.opt.start('hotexit=2')");
  // Dry packets are in no file, but p:capture() is to return what it will later.
  const auto dry_marks = std::make_unique<Marks>();
  dry_marks->begin(Marks::kMaxPackets);
  if (bound.marks != nullptr || bound.writes_packets) shared.marks = reinterpret_cast<engine_marks*>(dry_marks.get());
  // Nor is the kernel asked for anything: requests end in the dry outbox.
  constexpr static std::atomic<std::uint32_t> kNeverFull{0};
  Requests dry_requests(kNeverFull);
  if (bound.requests != nullptr || bound.has_kernel)
    shared.requests = reinterpret_cast<engine_requests*>(&dry_requests);
  shared.cell.frames = bound.traffic.frames;
  const std::uint64_t until = cpu_time_ns() + kWarmUpLimit_ns;
  DryPass pass{std::vector<std::uint8_t>(kScratch_bytes), 0, 1};
  for (int round = 0; round < kPolyClosures + kDryRounds && cpu_time_ns() < until; ++round) {
    // What the dry instances before it left must not count against the cap.
    if (arena.used_bytes() > spec.memory_bytes / 4) guarded([&] { lua_gc(L, LUA_GCCOLLECT, 0); });
    check(0);
    instantiate(true);
    shared.outbox = pass.outbox();
    call_on_start();
    if (round < kPolyClosures) continue;
    loading = false;  // what may be declared then only fails here too
    pass.step = kSteps[round - kPolyClosures];
    // The first traces should be of what is common later, tables that know their keys, not of the first packet of each
    // key. So the first of these rounds begins in the interpreter; the others give their side exits to the rest.
    if (round == kPolyClosures) {
      luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
      dry_batches(2 * bound.traffic.packets.size() / bound.capacity + 2, pass);
      check(0);
      luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
    }
    dry_batches(kBatchesPerRound, pass);
    if (round >= kPolyClosures + kDryRounds / 2) dry_small_batches(pass);
    end_dry_interval(pass);
    loading = true;
    check(0);
  }
  std::memset(static_cast<void*>(bound.packets), 0, sizeof(engine_packet) * (bound.capacity + 1));
  shared.cell = engine_cell{bound.frames, 0, 0, shared.cell.generation};
  shared.marks = reinterpret_cast<engine_marks*>(bound.marks);
  shared.capture_refused = 0;
  shared.requests = reinterpret_cast<engine_requests*>(bound.requests);
  shared.actions_refused = 0;
  shared.outbox = engine_outbox{};
  shared.pending = 0;
  stats = Statistics{};
  run_text("jit.opt.start('hotexit=10')");
}

void State::Impl::dry_batches(std::size_t batches, DryPass& pass) noexcept {
  const std::uint64_t until = cpu_time_ns() + kRoundLimit_ns;
  for (std::size_t i = 0; i < batches && cpu_time_ns() < until; ++i) {
    for (const std::uint32_t size : kBatchSizes) {
      dry_batch(std::min(size, bound.capacity), pass);
      pass.at = (pass.at + kStride) % bound.traffic.packets.size();
    }
  }
}

// Each packet as the last of a batch, alone and behind another, the loops being compiled by now: with it every path
// ends in an exit of its own, which rare packets would else make hot in the middle of a run.
void State::Impl::dry_small_batches(DryPass& pass) noexcept {
  const std::uint64_t until = cpu_time_ns() + kRoundLimit_ns;
  for (const std::uint32_t size : {1, 2}) {
    for (std::size_t i = 0; i < bound.traffic.packets.size(); i += size) {
      if (i % kPacketsPerLook == 0 && cpu_time_ns() >= until) break;
      dry_batch(size, pass);
    }
  }
}

// Long after the last packet: what ends by time does, and its callbacks are made.
void State::Impl::end_dry_interval(DryPass& pass) noexcept {
  const double now_ns = bound.packets[bound.capacity].time;
  for (Structure* structure : instance.structures)
    if (Table* table = structure->table()) table->advance(now_ns + kLong_ns);
  const bool has_callbacks = shared.pending != 0;
  const std::uint64_t until = cpu_time_ns() + kTicksLimit_ns;
  for (int i = 0; i < kTicks && cpu_time_ns() < until; ++i) {
    shared.outbox = pass.outbox();
    if (has_callbacks) shared.pending = 1;
    drain();
    call_hook("on_tick", &now_ns);
  }
}

// One batch of the built-in traffic, from where the last one ended.
void State::Impl::dry_batch(std::uint32_t count, DryPass& pass) noexcept {
  const auto packets = bound.traffic.packets;
  for (std::uint32_t i = 0; i < count; ++i, pass.go_on(packets.size())) {
    std::memcpy(static_cast<void*>(bound.packets + i), &packets[pass.at], sizeof(engine_packet));
  }
  shared.outbox = pass.outbox();
  if (!has_packet_hook || dead) return;
  begin_crossing(count);
  if (by_batch) {
    offer_batch();
    return drain();
  }
  const bool indexed = !instance.filter.empty();
  offer(indexed ? kRunIndex : kRun, 0, count - 1, indexed);
  drain();
}

}  // namespace plugins
