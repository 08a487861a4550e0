// engine.map: a plugin's own table in native memory. Keys are packet fields or values; the entries' typed fields lie in
// the rows' payload, which the library's Lua code reads and writes (plugins/lua/map.lua knows the layout).
//
// Full means full: nothing is thrown out for a new key, which is refused and counted. An entry ends by delete or, with
// a ttl, so long after it was last got or put, by the packets' time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "plugins/key.h"
#include "plugins/row_table.h"
#include "plugins/structure.h"

namespace plugins {

// What happened to a worker's map in an interval. Published: "entries", "added", "expired", "deleted", "refused": sums
// over the workers, of which each has a map of its own.
class MapPart final : public Part {
 public:
  explicit MapPart(std::string shape) : shape_(std::move(shape)) {}

  void merge(const Part& other) override;
  void clear() noexcept override { entries = added = expired = deleted = refused = 0; }
  void publish(Visitor& visitor) const override;
  bool empty() const noexcept override { return (entries | added | expired | deleted | refused) == 0; }
  std::unique_ptr<Part> make_empty() const override { return std::make_unique<MapPart>(shape_); }
  std::string shape() const override { return shape_; }

  std::uint64_t entries = 0;  // at the end
  std::uint64_t added = 0;
  std::uint64_t expired = 0;
  std::uint64_t deleted = 0;
  std::uint64_t refused = 0;

 private:
  std::string shape_;
};

class MapTable final : public Table {
 public:
  // ttl_ns: 0 for never.
  MapTable(KeySpec key, std::uint32_t payload_bytes, std::uint32_t max_entries, double ttl_ns);

  // The row, or RowTable::kNone.
  std::uint32_t get(const engine_packet& packet) noexcept {
    std::uint64_t key[kMaxFieldWords];
    key_.pack(packet, key);
    ++lookups_;
    return rows_.find(key, key_.words(), packet.time);
  }
  std::uint32_t get(const ValueKey& key, double now_ns) noexcept { return rows_.find(key.data, key.words, now_ns); }

  RowTable::Found put(const engine_packet& packet) noexcept {
    std::uint64_t key[kMaxFieldWords];
    key_.pack(packet, key);
    ++lookups_;
    return counted(rows_.find_or_insert(key, key_.words(), packet.time));
  }
  RowTable::Found put(const ValueKey& key, double now_ns) noexcept {
    return counted(rows_.find_or_insert(key.data, key.words, now_ns));
  }

  bool remove(const engine_packet& packet) noexcept { return remove_row(get(packet)); }
  bool remove(const ValueKey& key, double now_ns) noexcept { return remove_row(get(key, now_ns)); }

  void attach(Part& part) noexcept override { part_ = static_cast<MapPart*>(&part); }
  void advance(double now_ns) noexcept override;
  void before_batch(const engine_packet* packets, const std::uint16_t* index, std::uint32_t count) noexcept override;

  const KeySpec& key() const noexcept { return key_; }
  RowTable& rows() noexcept { return rows_; }

 private:
  RowTable::Found counted(RowTable::Found found) noexcept {
    if (found.row == RowTable::kNone) {
      ++part_->refused;
    } else if (found.fresh) {
      ++part_->added;
    }
    return found;
  }
  bool remove_row(std::uint32_t row) noexcept;

  KeySpec key_;
  RowTable rows_;
  MapPart* part_ = nullptr;
  std::uint64_t expired_told_ = 0;
  std::uint32_t lookups_ = 0;  // by packet, since the last batch began
};

}  // namespace plugins
