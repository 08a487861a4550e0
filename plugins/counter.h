// Packets and bytes per key, or a count per value: exact up to `max` keys, what comes after is one overflow row.
//
// One part belongs to one worker at a time (add) or to the collector (merge, publish, clear); see structure.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "plugins/key.h"
#include "plugins/key_table.h"
#include "plugins/structure.h"

namespace plugins {

inline constexpr std::uint32_t kCounterDefaultKeys = 65536;

// Published: "entries":[{key fields, "packets", "bytes"}] or [{"key", "count"}], largest first; and, if there were more
// keys than `max`, "overflow":{...} as a list of one item with what was added under further keys.
class Counter final : public Part {
 public:
  explicit Counter(KeySpec key, std::uint32_t max_keys = kCounterDefaultKeys);

  void add(const engine_packet& packet) noexcept;
  void add_value(const ValueKey& key, std::uint64_t n) noexcept;

  void merge(const Part& other) override;
  void clear() noexcept override;
  void publish(Visitor& visitor) const override;
  bool empty() const noexcept override;
  std::unique_ptr<Part> make_empty() const override;
  std::string shape() const override;

  std::uint32_t size() const noexcept { return table_.size(); }

 private:
  struct Tally {
    std::uint64_t packets = 0;  // or the count, of a value
    std::uint64_t bytes = 0;
  };
  void visit_tally(std::uint64_t packets, std::uint64_t bytes, Visitor& visitor) const;

  KeySpec key_;
  std::uint32_t max_keys_;
  KeyTable<Tally> table_;
  Tally overflow_;
};

}  // namespace plugins
