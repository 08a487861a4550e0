// engine.rate: events per second and key over a sliding window, with a threshold.
//
// The window lies in eight slots of equal length, cut at multiples of it. A rate is what was counted in the current
// slot and the seven before it, divided by the time from the seventh's beginning until now: exact over the last 7/8 to
// 8/8 of the window, whatever the events' spacing. Time is that of the packets.
//
// A key that is at or above the threshold is told once, until its rate has fallen below nine tenths of it. Keys quiet
// for a window are forgotten. The queue of what is to be told is bounded; what finds no room is counted.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plugins/key.h"
#include "plugins/key_table.h"
#include "plugins/row_table.h"
#include "plugins/saturate.h"
#include "plugins/structure.h"

namespace plugins {

inline constexpr std::uint32_t kRateListed = 1000;

// Every key's events in the window before the interval's end: merging adds them up, so that rates over all queues are
// exact. Published: "entries":[{key, "rate"}] of the keys at or above the threshold, largest first, kRateListed at
// most; "more", how many others there were, if any; "refused", events whose key found no room, and "untold", callbacks
// that found none, if any. Nothing is published for an interval without any of these.
class RatePart final : public Part {
 public:
  RatePart(KeySpec key, std::uint32_t max_keys, double window_ns, double above, bool told);

  void start(double span_ns) noexcept;  // anew: a part that could not be sent before holds an older window
  void add(const std::uint64_t* key, std::uint32_t words, std::uint64_t events) noexcept;
  void refuse() noexcept { ++refused_; }
  void lose() noexcept { ++untold_; }

  void merge(const Part& other) override;
  void clear() noexcept override;
  void publish(Visitor& visitor) const override;
  bool empty() const noexcept override { return keys_.size() == 0 && refused_ == 0 && untold_ == 0; }
  std::unique_ptr<Part> make_empty() const override;
  std::string shape() const override;
  std::size_t lines() const override;

 private:
  struct Tally {
    std::uint64_t packets = 0;  // events, as entries.h calls them
  };
  bool is_above(std::uint64_t events) const noexcept { return static_cast<double>(events) * 1e9 >= above_ * span_ns_; }

  KeySpec key_;
  std::uint32_t max_keys_;
  double window_ns_;
  double above_;  // per second
  bool told_;     // of the shape: whether the table queues crossings
  KeyTable<Tally> keys_;
  double span_ns_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t untold_ = 0;
};

class RateTable final : public Table {
 public:
  struct Event {
    double rate;
    double time_ns;
    std::uint32_t words;
    std::uint64_t key[kValueWords];
  };

  // `told`: crossings are queued for take().
  RateTable(KeySpec key, std::uint32_t max_keys, double window_ns, double above, bool told);

  // True if the queue has got longer.
  bool add(const engine_packet& packet) noexcept {
    std::uint64_t key[kMaxFieldWords];
    key_.pack(packet, key);
    ++lookups_;
    return add_key(key, key_.words(), 1, packet.time);
  }
  bool add(const ValueKey& key, std::uint64_t n, double now_ns) noexcept {
    return add_key(key.data, key.words, n, now_ns);
  }
  // The rate now, 0 for an unknown key.
  double rate(const engine_packet& packet) noexcept {
    std::uint64_t key[kMaxFieldWords];
    key_.pack(packet, key);
    return rate_of(key, key_.words(), packet.time);
  }
  double rate(const ValueKey& key, double now_ns) noexcept { return rate_of(key.data, key.words, now_ns); }

  // The oldest of the queue; false if there is none.
  bool take(Event& event) noexcept;

  std::uint32_t size() const noexcept { return rows_.size(); }
  const KeySpec& key() const noexcept { return key_; }

  void attach(Part& part) noexcept override { part_ = static_cast<RatePart*>(&part); }
  void advance(double now_ns) noexcept override;
  void before_batch(const engine_packet* packets, const std::uint16_t* index, std::uint32_t count) noexcept override;

 private:
  static constexpr std::int64_t kSlots = 8;
  static constexpr std::uint32_t kQueued = 256;
  struct Window {
    std::uint64_t events[kSlots];
    std::uint64_t total;
    std::int64_t slot;  // the last one that was counted in
    bool above;
  };

  bool add_key(const std::uint64_t* key, std::uint32_t words, std::uint64_t n, double now_ns) noexcept;
  double rate_of(const std::uint64_t* key, std::uint32_t words, double now_ns) noexcept;
  bool tell(const std::uint64_t* key, std::uint32_t words, double rate) noexcept;
  void move_to_now(double now_ns) noexcept;
  void forget_old_slots(Window& window) const noexcept;
  double span_ns() const noexcept { return now_ns_ - slot_begin_ns_ + (kSlots - 1) * slot_ns_; }
  Window& window(std::uint32_t row) noexcept { return *reinterpret_cast<Window*>(rows_.payload(row)); }

  KeySpec key_;
  double slot_ns_;
  double above_;
  bool told_;
  RowTable rows_;
  RatePart* part_ = nullptr;
  std::vector<Event> queue_;  // a ring
  std::uint32_t first_ = 0;
  std::uint32_t queued_ = 0;
  std::uint32_t lookups_ = 0;  // by packet, since the last batch began
  double now_ns_ = -1e300;
  double slot_begin_ns_ = 0;
  double slot_end_ns_ = -1e300;
  std::int64_t slot_ = 0;
};

}  // namespace plugins
