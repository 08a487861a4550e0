// A plugin on one worker: one Lua state, entered once per batch.
//
// Made on any thread (load, warm-up), then seated at a worker (on_start) and used by that worker's thread alone. It
// owns the Lua state; the packet array, the frame memory and the outbox are the worker's and must outlive it. Its
// native structures are its own until a StructureSet takes them, which outlives states.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "plugins/abi.h"
#include "plugins/observer.h"
#include "plugins/record.h"
#include "plugins/registry.h"
#include "plugins/structure.h"

namespace plugins {

// What a plugin finds in `args`.
using Arguments = std::vector<std::pair<std::string, std::variant<bool, double, std::string>>>;

// The text of a plugin's files as they were when one was first read: every state that is made with it, on whatever
// worker and however late, runs the same code. Any thread.
class Sources {
 public:
  // 0, or the errno.
  int read(const std::string& path, std::string& text);

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> texts_;
};

// What the operator asked for.
struct PluginSpec {
  std::string name;
  std::string path;
  std::string code;  // --eval: the code itself; path is unused
  Arguments args;
  std::size_t memory_bytes = 64u << 20;  // cap on what Lua allocates
  bool trusted = false;                  // gives the plugin ffi
  bool reproducible = false;             // files: the same packets give the same results in every run
  // What a batch, a tick, a stop or a garbage step may take of the thread's time; loading and on_start may take fifty
  // times as much, at least a tenth of a second, a batch of the dry run that up to a second. Longer ones are cut off.
  std::uint64_t deadline_ns = 20'000'000;
  std::uint32_t patience = 1;  // for who measures batches: they may take so many deadlines, a load takes no longer
  std::shared_ptr<Sources> sources;  // nullptr: files are read as they are
};

class Marks;
class Requests;

// Plain values about where the state runs, for on_start(info).
struct WorkerInfo {
  std::string interface;
  std::vector<std::uint32_t> queues;
  std::int32_t cpu = -1;   // -1: not pinned
  std::int32_t node = -1;  // -1: unknown
  std::uint32_t workers = 1;
};

// Built-in packets, decoded by the engine, that a new state is warmed up with; used by the constructor only.
struct Traffic {
  std::span<const engine_packet> packets;
  const std::uint8_t* frames = nullptr;  // the packets' _off count from here
};

// What a state finds at its worker.
struct Seat {
  engine_packet* packets = nullptr;  // capacity + 1: the last gives ticks and stops their time and place
  const std::uint8_t* frames = nullptr;
  engine_outbox* outbox = nullptr;
  Marks* marks = nullptr;        // what the worker's plugins chose to have written; nullptr: nothing is written
  Requests* requests = nullptr;  // what the worker's plugins ask of the kernel; nullptr: the source has none
  std::uint64_t epoch_ns = 0;
  std::uint32_t worker = 0;
  bool directions_split = false;  // another worker may get the packets of a flow's other direction
  WorkerInfo info;
};

struct Binding : Seat {  // without packets: the state is made without a seat
  std::uint32_t capacity = 256;
  Registry* registry = nullptr;  // the plugin's, shared by all workers; nullptr: a state's own
  std::uint8_t plugin_index = 0;
  bool writes_packets = false;  // the seat will have marks
  bool has_kernel = false;      // the seat will have requests
  Traffic traffic;
  Observer* observer = nullptr;
};

// Written by the worker's thread; others read them after it has ended.
struct Statistics {
  std::uint64_t packets = 0;  // offered, those skipped by an error included
  std::uint64_t errors = 0;
  std::uint64_t capture_refused = 0;  // packets that the plugin wanted written and that are not
  std::uint64_t actions_refused = 0;  // requests to the kernel that returned false
  std::uint64_t cutoffs = 0;          // the deadline passed
  bool dead = false;                  // met the cap of its memory, or was cut off: out of service
  std::size_t memory_bytes = 0;       // what Lua holds now
  std::size_t peak_memory_bytes = 0;
};

class StructureSet;

class State {
 public:
  // Loads the plugin and warms it up; with a seat, takes it and calls on_start. Throws engine::SetupError with file and
  // line.
  State(const PluginSpec& spec, const Binding& binding);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Seats a state that was made without: on_start is called, with what on_save of the one `before` it returned as
  // info.saved, if there is one. False: one of them failed, as `problem` says; `before` goes on, this one is of no use.
  // On the worker's thread.
  bool take_seat(const Seat& seat, State* before, std::string& problem) noexcept;

  // One crossing each: offers packets[0..count), or those of the index list (ascending). An error skips that packet
  // for this plugin, is counted, and goes as ENGINE_MESSAGE_ERROR to the outbox: the first 10, then one per second.
  // Returns how many of the last were not offered any more, since the state died of the one before them: 0, but for a
  // plugin that needs more memory than its cap, or is cut off since it passed its deadline. A dead state does nothing.
  std::uint32_t run(std::uint32_t count) noexcept;
  std::uint32_t run(std::span<const std::uint16_t> index) noexcept;
  void tick(double now_ns) noexcept;  // ns since the epoch; the caller has filled packets[capacity].time and _place
  void stop() noexcept;
  void collect_garbage_step() noexcept;  // between batches; cheap when there is little garbage

  // Values that the caller learns after the state was seated (live: when capture starts). Between batches only.
  void set_frames(const std::uint8_t* frames) noexcept;
  void set_epoch(std::uint64_t epoch_ns) noexcept;
  // Makes resident what the first packets would touch, on the node of this thread: the one that they come to.
  void touch() noexcept;

  const std::string& name() const noexcept;
  const std::string& filter() const noexcept;  // in tcpdump's language; empty: every packet. The caller applies it.
  std::uint64_t interval_ns() const noexcept;  // default 1 s
  std::uint32_t uses() const noexcept;         // what it may ask of the kernel: bits of engine_use
  const std::vector<RecordSchema>& schemas() const noexcept;
  std::vector<Structure*>& structures() noexcept;
  // Gives the structures away: to `kept`, unless it has the same already; then that one is filled from now on.
  void join(StructureSet& kept) noexcept;
  // A line in the log in the plugin's name, as far as its share of lines allows.
  void warn(std::string_view text) noexcept;
  const PluginSpec& spec() const noexcept;
  Statistics statistics() const noexcept;
  bool is_dead() const noexcept;                // it does nothing any more; another has to take its place
  std::string_view condition() const noexcept;  // "running", "out of memory" or "cut off"

  struct Impl;  // plugins/impl.h, for the runtime's own files

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace plugins
