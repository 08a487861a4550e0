#include "plugins/runtime.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "plugins/impl.h"
#include "plugins/structure_set.h"
#include "plugins/watchdog.h"

namespace plugins {
namespace {

// Collecting below so much garbage would cost more than it gives back.
constexpr std::size_t kCollectAfter_bytes = 256u << 10;
constexpr std::uint64_t kLoadDeadlines = 50;
constexpr std::uint64_t kLeastLoadDeadline_ns = 100'000'000;
constexpr std::uint64_t kMostDryDeadline_ns = 1'000'000'000;  // where a batch's own is not longer

}  // namespace

// A crossing is what views are valid within; see engine_view.
void State::Impl::begin_crossing(std::uint32_t count) noexcept {
  shared.cell.generation += 1;
  shared.cell.count = count;
  shared.cell.next = 0;
}

// The only place that Lua is entered from. setjmp without the signal mask: no system call, and the handler of the cut
// leaves none changed.
bool State::Impl::enter(void (*work)(const void*), const void* argument) noexcept {
  if (dead) return false;
  outbox_at_entry = outbox->used;
  emitted_at_entry = outbox->emitted;
  shared.expired = 0;
  deadline_at_entry_ns = deadline_ns();
  const Turn turn(deadline_at_entry_ns);
  const InState inside(machine_code);
  std::jmp_buf way_out;
  const int left = _setjmp(way_out);
  if (left == 0) {
    arm(&way_out);
    work(argument);
  }
  arm(nullptr);
  if (left == 0 && shared.expired == 0) return true;
  // What came back by itself, but too late, is dead as well.
  die(left == 0 || left == kCutOff ? Death::deadline : Death::memory);
  return false;
}

// The signal handler goes by the way out alone: it is stored last, and taken away first.
void State::Impl::arm(std::jmp_buf* way_out) noexcept {
  Post& post = this_post;
  post.way_out = nullptr;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  post.held = false;  // the arena's way out passes by what would have reset it
  arena.arm(way_out);
  post.code = &machine_code;
  post.expired = &shared.expired;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  post.way_out = way_out;
}

// A dry run is part of the load, though what may be declared in it is what may be declared later: its first batches run
// in the interpreter, over cold memory, and say nothing about how long a batch takes once the plugin is in service.
std::uint64_t State::Impl::deadline_ns() const noexcept {
  const std::uint64_t batch_ns = spec.deadline_ns * spec.patience;
  if (seating || (!loading && !dry)) return batch_ns;
  const std::uint64_t load_ns = std::max(spec.deadline_ns * kLoadDeadlines, kLeastLoadDeadline_ns);
  return loading ? load_ns : std::max(batch_ns, std::min(load_ns, kMostDryDeadline_ns));
}

int State::Impl::protected_call(int arguments, int results) noexcept {
  int status = kDead;
  return guarded([&] { status = lua_pcall(L, arguments, results, 0); }) ? status : kDead;
}

void State::Impl::die(Death of) noexcept {
  dead = true;
  death = of;
  ++stats.errors;
  if (of == Death::deadline) ++stats.cutoffs;
  drop_half_message();
  // A dry run and a load that end like this are errors of the load.
  death_told = dry || loading;
  tell_death();
}

// Runs the loop over places first..last, again from behind each packet that failed. How many were left when it died.
std::uint32_t State::Impl::offer(int loop, std::uint32_t first, std::uint32_t last, bool indexed) noexcept {
  entered = "on_packet";
  const Turn turn(deadline_ns());  // the deadline is the batch's, however often it is entered again
  for (;;) {
    shared.cell.next = indexed ? shared.index[first] : first;
    lua_pushvalue(L, loop);
    lua_pushvalue(L, kHook);
    lua_pushnumber(L, first);
    lua_pushnumber(L, last);
    const int status = protected_call(3, 0);
    if (status == 0) return 0;
    if (status != kDead) report_error();
    const std::uint32_t failed = shared.cell.next;
    first = indexed ? static_cast<std::uint32_t>(std::lower_bound(shared.index + first, shared.index + last, failed) -
                                                 shared.index)
                    : failed;
    if (dead) return last - std::min(first, last);
    if (first++ >= last) return 0;
  }
}

// The plugin has the loop: after an error there is no place to go on from.
void State::Impl::offer_batch() noexcept {
  entered = "on_batch";
  lua_pushvalue(L, kRunBatch);
  lua_pushvalue(L, kHook);
  if (protected_call(1, 0) > 0) report_error();
}

void State::Impl::call_hook(const char* name, const double* argument) noexcept {
  entered = name;
  begin_crossing(0);
  shared.cell.next = bound.capacity;
  int status = 0;
  guarded([&] {
    lua_getfield(L, kInstance, "settings");
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) return lua_pop(L, 1);
    if (argument != nullptr) lua_pushnumber(L, *argument);
    status = lua_pcall(L, argument != nullptr ? 1 : 0, 0, 0);
  });
  if (status != 0 && !dead) report_error();
}

// Callbacks that the crossing left in tables: each declared callback has a function that takes from its queue until it
// is empty. Called from here one by one: where compiled code has to return to Lua it can't go on, but to C it can. One
// that fails is reported; those behind it wait for the next crossing.
void State::Impl::drain() noexcept {
  if (shared.pending == 0 || dead) return;
  entered = "a table's callback";
  begin_crossing(0);
  shared.pending = 0;
  int status = 0;
  guarded([&] {
    lua_getfield(L, kInstance, "drains");
    const auto count = static_cast<int>(lua_objlen(L, -1));
    for (int i = 1; i <= count && status == 0; ++i) {
      lua_rawgeti(L, -1, i);
      status = lua_pcall(L, 0, 0, 0);
    }
    lua_remove(L, status == 0 ? -1 : -2);
  });
  if (status == 0 || dead) return;
  report_error();
  shared.pending = 1;
}

void State::Impl::prefetch(const std::uint16_t* index, std::uint32_t count) noexcept {
  for (Structure* structure : instance.structures)
    if (Table* table = structure->table()) table->before_batch(bound.packets, index, count);
}

// A call in tail position has no line any more: what it raises names the driver's instead, or none. The file is known,
// and where the packets' hook begins.
std::string State::Impl::placed(const std::string& message) const {
  const std::string driver = "engine/driver:";
  // A plugin can raise what looks like it, and needs no hook for packets to do so.
  if (message.rfind(driver, 0) != 0 || !lua_isfunction(L, kHook)) return std::string(file_name()) + ": " + message;
  lua_Debug hook;
  lua_pushvalue(L, kHook);
  lua_getinfo(L, ">S", &hook);
  const std::size_t text = message.find(": ", driver.size());
  return std::string(file_name()) + ":" + std::to_string(hook.linedefined) + ": " +
         message.substr(text == std::string::npos ? 0 : text + 2) + " (in a return of the function that begins here)";
}

State::State(const PluginSpec& spec, const Binding& binding) : impl_(std::make_unique<Impl>(spec, binding)) {}
State::~State() = default;

std::uint32_t State::run(std::uint32_t count) noexcept {
  Impl& s = *impl_;
  const Loan loan(s);
  if (s.dead) {
    s.tell_death();
    return count;
  }
  if (!s.pending_logs.empty()) s.flush_pending();
  s.stats.packets += count;
  if (count == 0 || !s.has_packet_hook) return 0;
  s.prefetch(nullptr, count);
  s.begin_crossing(count);
  if (!s.by_batch) {
    const std::uint32_t left = s.offer(kRun, 0, count - 1, false);
    s.stats.packets -= left;
    s.drain();
    return left;
  }
  if (!s.index_is_identity) {
    for (std::uint32_t i = 0; i < s.bound.capacity; ++i) s.shared.index[i] = static_cast<std::uint16_t>(i);
    s.index_is_identity = true;
  }
  s.offer_batch();
  s.drain();
  return 0;
}

std::uint32_t State::run(std::span<const std::uint16_t> index) noexcept {
  Impl& s = *impl_;
  const Loan loan(s);
  if (s.dead) {
    s.tell_death();
    return static_cast<std::uint32_t>(index.size());
  }
  if (!s.pending_logs.empty()) s.flush_pending();
  s.stats.packets += index.size();
  if (index.empty() || !s.has_packet_hook) return 0;
  // Copied, 512 bytes at most: its address is a constant of the compiled loop.
  std::memcpy(s.shared.index, index.data(), index.size_bytes());
  s.index_is_identity = false;
  const auto count = static_cast<std::uint32_t>(index.size());
  s.prefetch(index.data(), count);
  s.begin_crossing(count);
  std::uint32_t left = 0;
  if (s.by_batch) {
    s.offer_batch();
  } else {
    left = s.offer(kRunIndex, 0, count - 1, true);
    s.stats.packets -= left;
  }
  s.drain();
  return left;
}

void State::tick(double now_ns) noexcept {
  if (impl_->dead) return;
  const Loan loan(*impl_);
  if (!impl_->pending_logs.empty()) impl_->flush_pending();
  for (Structure* structure : impl_->instance.structures)
    if (Table* table = structure->table()) table->advance(now_ns);
  impl_->drain();
  impl_->call_hook("on_tick", &now_ns);
  impl_->drain();
}

void State::stop() noexcept {
  if (impl_->dead) return;
  const Loan loan(*impl_);
  if (!impl_->pending_logs.empty()) impl_->flush_pending();
  impl_->call_hook("on_stop", nullptr);
}

// The automatic collector is off, so that no packet pays for it: steps between batches, until a cycle is done. Each
// does as much as was allocated since the last, times the step multiplier; so it keeps up with any plugin. LUA_GCSTEP
// switches the automatic collector on again (lj_api.c), hence the stop behind it.
void State::collect_garbage_step() noexcept {
  Impl& s = *impl_;
  const std::size_t used = s.arena.used_bytes();
  if (used < s.collect_above_bytes || s.dead) return;
  const std::size_t grown = used > s.collected_at_bytes ? used - s.collected_at_bytes : 0;
  s.entered = "a garbage step";
  bool cycle_done = false;
  const bool alive = s.guarded([&] {
    cycle_done = lua_gc(s.L, LUA_GCSTEP, static_cast<int>(grown >> 10)) != 0;
    lua_gc(s.L, LUA_GCSTOP, 0);
  });
  if (!alive) return;
  s.collected_at_bytes = s.arena.used_bytes();
  if (!cycle_done) {
    s.collect_above_bytes = s.collected_at_bytes;
    return;
  }
  s.collect_above_bytes = s.collected_at_bytes + std::max(s.collected_at_bytes / 2, kCollectAfter_bytes);
  s.collected_at_bytes = s.collect_above_bytes;
}

void State::set_frames(const std::uint8_t* frames) noexcept { impl_->shared.cell.frames = frames; }

void State::touch() noexcept {
  for (Structure* structure : impl_->instance.structures)
    if (Table* table = structure->table()) table->touch();
}

void State::set_epoch(std::uint64_t epoch_ns) noexcept {
  Impl& s = *impl_;
  const Loan loan(s);
  s.shared.epoch_ns = epoch_ns;
  for (Structure* structure : s.instance.structures)
    if (Table* table = structure->table()) table->seat(epoch_ns, s.bound.directions_split);
  int status = 0;
  s.guarded([&] {
    lua_getfield(s.L, kCore, "set_epoch");
    lua_pushvalue(s.L, kInstance);
    status = lua_pcall(s.L, 1, 0, 0);
  });
  if (status != 0 && !s.dead) s.report_error();
}

const std::string& State::name() const noexcept { return impl_->spec.name; }
const std::string& State::filter() const noexcept { return impl_->instance.filter; }
std::uint64_t State::interval_ns() const noexcept { return impl_->instance.interval_ns; }
std::uint32_t State::uses() const noexcept { return impl_->shared.uses; }
const std::vector<RecordSchema>& State::schemas() const noexcept { return impl_->instance.schemas; }
std::vector<Structure*>& State::structures() noexcept { return impl_->instance.structures; }
void State::join(StructureSet& kept) noexcept { kept.join(impl_->instance.owned, impl_->instance.structures); }
bool State::take_seat(const Seat& seat, State* before, std::string& problem) noexcept {
  return impl_->take_seat(seat, before != nullptr ? before->impl_.get() : nullptr, problem);
}

void State::warn(std::string_view text) noexcept { impl_->warn(text); }
const PluginSpec& State::spec() const noexcept { return impl_->spec; }
bool State::is_dead() const noexcept { return impl_->dead; }

Statistics State::statistics() const noexcept {
  Statistics result = impl_->stats;
  result.dead = impl_->dead;
  result.capture_refused = impl_->shared.capture_refused;
  result.actions_refused = impl_->shared.actions_refused;
  result.memory_bytes = impl_->arena.used_bytes();
  result.peak_memory_bytes = impl_->arena.peak_bytes();
  return result;
}

std::string_view State::Impl::condition() const noexcept {
  if (!dead) return "running";
  return death == Death::deadline ? "cut off" : "out of memory";
}
std::string_view State::condition() const noexcept { return impl_->condition(); }

}  // namespace plugins
