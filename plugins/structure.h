// What the collector knows of a native structure: how to merge the parts of several workers, and how to publish them.
//
// A structure lives in a worker as a pair of parts: one is filled, the other is spare. At the end of an interval the
// filled part's ownership goes to the collector through the worker's queue; it comes back cleared through `returned`.
// If the spare is not back yet, the worker keeps filling: the content is published with the next interval, never lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

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
};

// A structure as the worker holds it. `swap` and `active` belong to the worker's thread, `give_back` to the
// collector's.
class Structure {
 public:
  Structure(std::string name, std::unique_ptr<Part> active, std::unique_ptr<Part> spare)
      : name_(std::move(name)), active_(std::move(active)), returned_(spare.release()) {}
  ~Structure() { delete returned_.load(std::memory_order_acquire); }
  Structure(const Structure&) = delete;
  Structure& operator=(const Structure&) = delete;

  const std::string& name() const noexcept { return name_; }
  Part& active() noexcept { return *active_; }

  // The filled part, whose ownership goes to the caller, or nullptr while the spare is still with the collector.
  Part* swap() noexcept {
    Part* spare = returned_.exchange(nullptr, std::memory_order_acquire);  // pairs with give_back's release
    if (spare == nullptr) return nullptr;
    Part* filled = active_.release();
    active_.reset(spare);
    return filled;
  }

  // Undoes a swap() whose message found no room: same thread, nothing of the part was lost.
  void unswap(Part* filled) noexcept {
    Part* spare = active_.release();
    active_.reset(filled);
    returned_.store(spare, std::memory_order_release);
  }

  void give_back(Part* part) noexcept {
    part->clear();
    returned_.store(part, std::memory_order_release);
  }

 private:
  std::string name_;
  std::unique_ptr<Part> active_;
  std::atomic<Part*> returned_;
};

}  // namespace plugins
