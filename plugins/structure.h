// A native structure: what a worker fills, and what the collector knows of it: how to merge the parts of several
// workers, and how to publish them.
//
// A structure lives in a worker as a pair of parts: one is filled, the other is spare. At the end of an interval the
// filled part's ownership goes to the collector through the worker's queue; it comes back cleared through `returned`.
// If the spare is not back yet, the worker keeps filling: the content is published with the next interval, never lost.
// What lives longer than an interval (map, set, nets, rate, flows) lies in a table beside the parts.
//
// Structures outlive the Lua state that declared them: a state's handle leads to the parts, and is set anew when
// another state takes its place.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "plugins/abi.h"

namespace plugins {

// Receives a part's published members in order; the collector's implementation writes JSON.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void unsigned_number(std::string_view name, std::uint64_t value) = 0;
  virtual void signed_number(std::string_view name, std::int64_t value) = 0;
  virtual void real(std::string_view name, double value) = 0;
  virtual void boolean(std::string_view name, bool value) = 0;
  virtual void text(std::string_view name, std::string_view value) = 0;
  virtual void address(std::string_view name, const engine_addr& value) = 0;
  virtual void time(std::string_view name, std::uint64_t utc_ns) { unsigned_number(name, utc_ns); }
  virtual void begin_object(std::string_view) {}  // its members follow
  virtual void end_object() {}
  virtual void begin_list(std::string_view name) = 0;  // its items follow, each between begin_item and end_item
  virtual void end_list() = 0;
  virtual void begin_item() = 0;
  virtual void end_item() = 0;
};

// One worker's content of a structure for one interval.
class Part {
 public:
  virtual ~Part() = default;
  virtual void merge(const Part& other) = 0;  // same kind and shape; may allocate: called by the collector only
  virtual void clear() noexcept = 0;
  virtual void publish(Visitor& visitor) const = 0;  // in a fixed order that depends on the content alone
  virtual bool empty() const noexcept = 0;
  virtual std::unique_ptr<Part> make_empty() const = 0;  // same kind and shape, for the merged result
  virtual std::string shape() const = 0;                 // kind, key and limits: parts merge where these are equal

  // Published as so many lines of their own; 0: nothing is to be said.
  virtual std::size_t lines() const { return 1; }
  virtual void publish_line(std::size_t, Visitor& visitor) const { publish(visitor); }
  // What the line's type has behind the structure's name.
  virtual std::string_view line_suffix(std::size_t) const { return {}; }

  // Where the result needs a memory over intervals, the collector keeps one part of make_empty() for the whole run:
  // after carry(), which takes an interval's merged part in, its lines are published. finish(): no more will come;
  // after it the lines are those that were still held back, if any.
  virtual bool cumulative() const noexcept { return false; }
  virtual void carry(const Part&) {}
  virtual void finish() {}
};

// What of a structure lives longer than an interval. Worker's thread alone.
class Table {
 public:
  virtual ~Table() = default;
  // The part that is filled from now on: at the beginning, and after every swap.
  virtual void attach(Part& part) noexcept = 0;
  // Before an interval ends, at this time since the epoch: expiry.
  virtual void advance(double) noexcept {}
  // The run ends at this time: before its last interval does.
  virtual void finish(double now_ns) noexcept { advance(now_ns); }
  // Where callbacks that wait in the table are counted; nullptr: nobody calls them.
  virtual void set_pending(std::uint32_t*) noexcept {}
  // What times count from, and whether other workers may see the other direction of a flow.
  virtual void seat(std::uint64_t /*epoch_ns*/, bool /*directions_split*/) noexcept {}
  // Makes resident what the first packets would touch: on the thread that they come to, before they do.
  virtual void touch() noexcept {}
  // The batch that comes, for prefetching; without an index, all of it.
  virtual void before_batch(const engine_packet*, const std::uint16_t*, std::uint32_t) noexcept {}
};

// What a plugin's handle points to. `pending` counts callbacks that wait in tables; the driver calls them after the
// batch, never native code.
struct Handle {
  Part* part = nullptr;
  Table* table = nullptr;
  std::uint32_t* pending = nullptr;
};

// A structure as the worker holds it. `give_back` belongs to the collector's thread, all else to the worker's.
class Structure {
 public:
  Structure(std::string name, std::unique_ptr<Part> active, std::unique_ptr<Part> spare,
            std::unique_ptr<Table> table = nullptr, std::uint16_t number = 0)
      : name_(std::move(name)),
        number_(number),
        active_(std::move(active)),
        table_(std::move(table)),
        returned_(spare.release()) {
    if (table_) table_->attach(*active_);
  }
  ~Structure() { delete returned_.load(std::memory_order_acquire); }
  Structure(const Structure&) = delete;
  Structure& operator=(const Structure&) = delete;

  const std::string& name() const noexcept { return name_; }  // empty: nothing of it is published
  std::uint16_t number() const noexcept { return number_; }   // in its plugin's registry
  Part& active() noexcept { return *active_; }
  const Part& active() const noexcept { return *active_; }
  Table* table() noexcept { return table_.get(); }

  // The handle that leads here from now on; nullptr: no state fills it any more.
  void bind(Handle* handle) noexcept {
    handle_ = handle;
    if (handle_ != nullptr) {
      handle_->part = active_.get();
      handle_->table = table_.get();
      finished_ = false;
    }
    if (table_) table_->set_pending(handle_ != nullptr ? handle_->pending : nullptr);
  }
  Handle* handle() const noexcept { return handle_; }

  // No state fills it any more: what its table still holds is content of the interval that ends now.
  void finish(double now_ns) noexcept {
    if (table_ && !std::exchange(finished_, true)) table_->finish(now_ns);
  }

  // The filled part, whose ownership goes to the caller, or nullptr while the spare is still with the collector.
  Part* swap() noexcept {
    Part* spare = returned_.exchange(nullptr, std::memory_order_acquire);  // pairs with give_back's release
    if (spare == nullptr) return nullptr;
    Part* filled = active_.release();
    activate(spare);
    return filled;
  }

  // Undoes a swap() whose message found no room: same thread, nothing of the part was lost.
  void unswap(Part* filled) noexcept {
    Part* spare = active_.release();
    activate(filled);
    returned_.store(spare, std::memory_order_release);
  }

  // Nothing of it is on its way to the collector.
  bool is_whole() const noexcept { return returned_.load(std::memory_order_acquire) != nullptr; }

  void give_back(Part* part) noexcept {
    part->clear();
    returned_.store(part, std::memory_order_release);
  }

 private:
  void activate(Part* part) noexcept {
    active_.reset(part);
    if (handle_ != nullptr) handle_->part = part;
    if (table_) table_->attach(*part);
  }

  std::string name_;
  std::uint16_t number_;
  std::unique_ptr<Part> active_;
  std::unique_ptr<Table> table_;
  Handle* handle_ = nullptr;
  bool finished_ = false;  // since no state fills it
  std::atomic<Part*> returned_;
};

}  // namespace plugins
