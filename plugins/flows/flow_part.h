// The flows that ended within an interval: filled by one worker's table, merged and published by the collector, one
// line each, in an order that depends on the content alone (beginning, then key).
//
// A last line, of type NAME_table, counts: the flows that are active at the interval's end, those that began and ended
// in it, evictions for want of room (their flows are published too, with that reason), records that found no room here,
// and callbacks that were not made.
//
// Live with several workers the two directions of a flow may end in two workers' tables. Then the part that lives as
// long as the run (Part::carry) joins them: see flows/flow_halves.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/flows/flow_fields.h"
#include "plugins/flows/flow_halves.h"
#include "plugins/flows/flow_rows.h"
#include "plugins/structure.h"

namespace plugins {

// What the plugin asked for; the same for a table, its parts and the merged result.
struct FlowOptions {
  double idle_ns = 60e9;
  double active_ns = 300e9;
  std::uint32_t max_flows = 1'000'000;
  bool callback = false;  // on_end
  bool published = true;
  FlowFields fields{};
};

struct FlowCounts {
  std::uint64_t active = 0;
  std::uint64_t began = 0;
  std::uint64_t ended = 0;
  std::uint64_t evicted = 0;
  std::uint64_t records_dropped = 0;
  std::uint64_t callbacks_lost = 0;
};

class FlowPart final : public Part {
 public:
  FlowPart(std::shared_ptr<const FlowOptions> options, std::size_t room);

  // Worker's thread. False, counted, if there is no room.
  bool append(const engine_flow& flow, engine_flow_reason reason) noexcept;
  FlowCounts& counts() noexcept { return counts_; }
  // The interval's end, what times count from, and whether records of one direction may be halves.
  void set_ground(double now_ns, std::uint64_t epoch_ns, bool split) noexcept {
    now_ns_ = now_ns;
    epoch_ns_ = epoch_ns;
    split_ = split;
  }

  std::size_t size() const noexcept { return size_; }
  const engine_flow& operator[](std::size_t i) const noexcept { return rows_[i]; }
  engine_flow& operator[](std::size_t i) noexcept { return rows_[i]; }

  // Collector's thread.
  void merge(const Part& other) override;
  void clear() noexcept override;
  void publish(Visitor& visitor) const override;  // the counts
  bool empty() const noexcept override;
  std::unique_ptr<Part> make_empty() const override;
  std::string shape() const override;
  std::size_t lines() const override { return size_ + (finished_ ? 0 : 1); }
  void publish_line(std::size_t line, Visitor& visitor) const override;
  std::string_view line_suffix(std::size_t line) const override { return line == size_ ? "_table" : ""; }
  bool cumulative() const noexcept override { return split_; }
  void carry(const Part& interval) override;
  void finish() override;

 private:
  void take(const engine_flow& flow);
  void publish_flow(const engine_flow& flow, Visitor& visitor) const;
  const engine_flow& in_order(std::size_t line) const;

  std::shared_ptr<const FlowOptions> options_;
  FlowRows rows_;
  std::size_t size_ = 0;
  FlowCounts counts_;
  double now_ns_ = 0;
  std::uint64_t epoch_ns_ = 0;
  bool split_ = false;
  bool finished_ = false;                     // nothing more to count
  std::unique_ptr<FlowHalves> halves_;        // of the part that lives as long as the run
  mutable std::vector<std::uint32_t> order_;  // made when the first line is published
};

}  // namespace plugins
