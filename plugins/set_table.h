// engine.set: membership of keys, from a list, a file or the packets; adding says whether it was new.
//
// Each worker has a set of its own. What a worker adds for the first time also goes into the interval's part; the
// collector joins the parts over workers and time, so that "members" and "new" are exact for all queues together.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "plugins/key.h"
#include "plugins/key_table.h"
#include "plugins/row_table.h"
#include "plugins/structure.h"

namespace plugins {

inline constexpr std::uint32_t kSetListed = 1000;

// The keys that workers found in an interval; as the collector's total, those of the whole run. Published: "members",
// all that were found so far; "new", those of them that no worker had found before; "refused", what met a full set, if
// anything did; and with `listed`, "entries":[{key}] of the new ones, the first kSetListed in the keys' order, and
// "more", how many others there were, if any. Keys that were given at the declaration are none of these.
class SetPart final : public Part {
 public:
  SetPart(KeySpec key, std::uint32_t max_keys, bool listed, std::string given = {});

  void add(const std::uint64_t* key, std::uint32_t words) noexcept { keys_.find_or_insert(key, words); }
  void refuse() noexcept { ++refused_; }

  void merge(const Part& other) override;
  void clear() noexcept override;
  void publish(Visitor& visitor) const override;
  bool empty() const noexcept override { return keys_.size() == 0 && refused_ == 0; }
  std::unique_ptr<Part> make_empty() const override;
  std::string shape() const override;
  bool cumulative() const noexcept override { return true; }
  void carry(const Part& interval) override;
  void finish() override { finished_ = true; }
  std::size_t lines() const override { return finished_ ? 0 : 1; }

 private:
  struct alignas(8) Nothing {};  // keys are whole words, aligned as such

  KeySpec key_;
  std::uint32_t max_keys_;
  bool listed_;
  std::string given_;  // of the shape: what tells the table's list and ttl
  KeyTable<Nothing> keys_;
  std::uint32_t first_new_ = 0;  // of the total: rows from here on came with the last interval
  std::uint64_t refused_ = 0;
  bool finished_ = false;  // nothing is held back for the end
};

class SetTable final : public Table {
 public:
  enum class Added : std::uint8_t { known, fresh, refused };

  // ttl_ns: 0 for never. published: new members go into the part too. A set with a ttl forgets, so its members can't be
  // told over time: nothing of it is published.
  SetTable(KeySpec key, std::uint32_t max_keys, double ttl_ns, bool published);

  // Set-up: members that count as known from the beginning. False: full.
  bool give(const std::uint64_t* key, std::uint32_t words) noexcept;

  Added add(const engine_packet& packet) noexcept {
    std::uint64_t key[kMaxFieldWords];
    key_.pack(packet, key);
    ++lookups_;
    return add_key(key, key_.words(), packet.time);
  }
  Added add(const ValueKey& key, double now_ns) noexcept { return add_key(key.data, key.words, now_ns); }

  bool has(const engine_packet& packet) noexcept {
    std::uint64_t key[kMaxFieldWords];
    key_.pack(packet, key);
    ++lookups_;
    return rows_.find(key, key_.words(), packet.time) != RowTable::kNone;
  }
  bool has(const ValueKey& key, double now_ns) noexcept {
    return rows_.find(key.data, key.words, now_ns) != RowTable::kNone;
  }

  std::uint32_t size() const noexcept { return rows_.size(); }
  const KeySpec& key() const noexcept { return key_; }

  void attach(Part& part) noexcept override { part_ = static_cast<SetPart*>(&part); }
  void advance(double now_ns) noexcept override;
  void before_batch(const engine_packet* packets, const std::uint16_t* index, std::uint32_t count) noexcept override;

 private:
  Added add_key(const std::uint64_t* key, std::uint32_t words, double now_ns) noexcept {
    const auto [row, fresh] = rows_.find_or_insert(key, words, now_ns);
    if (row == RowTable::kNone) {
      part_->refuse();
      return Added::refused;
    }
    if (!fresh) return Added::known;
    if (published_) part_->add(key, words);
    return Added::fresh;
  }

  KeySpec key_;
  bool published_;
  RowTable rows_;
  SetPart* part_ = nullptr;
  std::uint32_t lookups_ = 0;  // by packet, since the last batch began
};

}  // namespace plugins
