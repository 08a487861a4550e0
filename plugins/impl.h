// The inside of a State, shared by the files that implement it: loader.cpp and warm_up.cpp (set-up), host.cpp (what the
// Lua library calls) and runtime.cpp (what the worker calls).
#pragma once

#include <cstdint>
#include <lua.hpp>
#include <memory>
#include <string>
#include <vector>

#include "plugins/arena.h"
#include "plugins/machine_code.h"
#include "plugins/native.h"
#include "plugins/pages.h"
#include "plugins/runtime.h"

namespace plugins {

// What one run of the plugin's chunk declared. Dry instances of the warm-up have their own, thrown away with them.
struct Instance {
  std::vector<std::unique_ptr<Handle>> handles;  // what Lua's pointers lead to: after it the structures
  std::vector<std::unique_ptr<Structure>> owned;
  std::vector<Structure*> structures;
  std::vector<RecordSchema> schemas;
  std::size_t reservable_bytes = half_of_memory_bytes();  // by further structures
  std::string filter;
  std::uint64_t interval_ns = 1'000'000'000;
};

// The worker's outbox, lent to the state for a crossing: its own address is a constant of compiled code.
class Loan {
 public:
  explicit Loan(State::Impl& state) noexcept;
  ~Loan();
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;

 private:
  State::Impl& state_;
};

// The first messages pass, then one per second that says how many it stands for.
class RateLimit {
 public:
  // Whether this message passes; then `suppressed` is how many did not since the last one that did.
  bool pass(std::uint64_t& suppressed) noexcept;

 private:
  std::uint64_t passed_ = 0;
  std::uint64_t held_ = 0;
  std::uint64_t second_ = 0;
};

// Why a state is out of service.
enum class Death : std::uint8_t { none, memory, deadline };

struct DryPass;  // warm_up.cpp

struct State::Impl {
  Impl(const PluginSpec& spec, const Binding& binding);
  ~Impl();

  // loader.cpp: set-up, throws engine::SetupError
  void open_libraries();
  void load_library();
  void compile();
  void instantiate(bool dry);
  void call_on_start();
  // seat.cpp
  bool take_seat(const Seat& seat, Impl* before, std::string& problem) noexcept;
  bool start(Impl* before, std::string& problem) noexcept;
  bool save(std::string& problem) noexcept;
  // warm_up.cpp
  void warm_up();
  void dry_batches(std::size_t batches, DryPass& pass) noexcept;
  void dry_small_batches(DryPass& pass) noexcept;
  void end_dry_interval(DryPass& pass) noexcept;
  void dry_batch(std::uint32_t count, DryPass& pass) noexcept;
  void check(int status);
  void run_text(const char* code);
  Registry& registry() noexcept { return bound.registry != nullptr ? *bound.registry : own_registry; }
  [[noreturn]] void fail(std::string_view reason) const;
  [[noreturn]] void fail_for_memory() const;
  const char* file_name() const noexcept { return spec.code.empty() ? spec.path.c_str() : "eval"; }

  // host.cpp
  void register_host_functions();

  // runtime.cpp: into Lua. All calls that can allocate or run the plugin's code go through guarded(): false if the
  // memory's cap was met or the deadline passed, or had been before. The state is dead then and must not be touched. No
  // object with a destructor may live in `work`.
  template <typename Work>
  bool guarded(const Work& work) noexcept {
    return enter([](const void* given) { (*static_cast<const Work*>(given))(); }, &work);
  }
  bool enter(void (*work)(const void*), const void* argument) noexcept;
  int protected_call(int arguments, int results) noexcept;  // lua_pcall, or kDead
  void arm(std::jmp_buf* way_out) noexcept;                 // nullptr: disarms
  void die(Death of) noexcept;
  void close() noexcept;
  std::uint64_t deadline_ns() const noexcept;
  std::string death_text() const;
  std::string_view condition() const noexcept;
  void drop_half_message() noexcept;
  void tell_death() noexcept;

  std::uint32_t offer(int loop, std::uint32_t first, std::uint32_t last, bool indexed) noexcept;
  void offer_batch() noexcept;
  void drain() noexcept;
  void prefetch(const std::uint16_t* index, std::uint32_t count) noexcept;
  void call_hook(const char* name, const double* argument) noexcept;
  void begin_crossing(std::uint32_t count) noexcept;
  std::string error_text() const;
  void report_error() noexcept;
  std::string placed(const std::string& message) const;
  bool append(std::uint8_t kind, int level, std::string_view text) noexcept;
  void log(int level, std::string_view text) noexcept;
  void flush_pending() noexcept;
  void warn(std::string_view text) noexcept;

  PluginSpec spec;
  Binding bound;
  Arena arena;  // before the state that frees into it
  MachineCode machine_code;
  lua_State* L = nullptr;
  engine_binding shared{};
  std::unique_ptr<engine_packet[]> own_packets;  // until there is a seat
  engine_outbox* outbox = &shared.outbox;
  Registry own_registry;  // of a state that stands alone
  Instance instance;
  bool dry = false;      // logs and errors are not reported
  bool loading = false;  // logs wait: there is no outbox yet
  bool seating = false;  // loading, but on the worker's thread: with the deadline of a batch
  bool by_batch = false;
  bool has_packet_hook = false;
  bool index_is_identity = true;
  bool dead = false;  // Lua's memory is in no defined state: never entered or closed again
  Death death = Death::none;
  const char* entered = "the load";  // what the plugin is entered for, as told when it is cut off
  bool death_told = false;           // there was room for the message
  std::uint32_t outbox_at_entry = 0;
  std::uint64_t emitted_at_entry = 0;
  std::uint64_t deadline_at_entry_ns = 0;
  std::string quoted;                   // of host.quote: nothing with a destructor may live when Lua allocates
  std::size_t collect_above_bytes = 0;  // what Lua must hold for the next garbage step
  std::size_t collected_at_bytes = 0;   // what it held after the last one
  Statistics stats;
  RateLimit error_limit;
  RateLimit log_limit;
  std::vector<std::pair<int, std::string>> pending_logs;
};

inline Loan::Loan(State::Impl& state) noexcept : state_(state) { state_.shared.outbox = *state_.bound.outbox; }
inline Loan::~Loan() { *state_.bound.outbox = state_.shared.outbox; }

inline constexpr int kDead = -1;  // beside lua_pcall's own

// Where the loops and the hook lie on the state's stack: pushing a copy is the cheapest way to reach them.
enum StackSlot : int { kCore = 1, kRun, kRunIndex, kRunBatch, kChunk, kInstance, kHook };

}  // namespace plugins
