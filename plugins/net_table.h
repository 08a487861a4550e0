// engine.nets: the longest of many IPv4 and IPv6 networks that contains an address.
//
// IPv4 networks up to /24 are expanded into a table of 2^24 entries, as in DIR-24-8 (Gupta et al., 1998): one access.
// Its pages are touched only where there are networks. All networks lie in one hash table too, by prefix and length: it
// tells what is known already, and it is where longer ones are looked for, by length. So that only lengths which exist
// are tried, each longer network leaves a mark at its stem: /24 for IPv4, /32 and /64 for IPv6. IPv6 networks up to /32
// are tried by each length that the table has. Adding takes no rebuilding; networks are never removed.
//
// Set-up fills and grows it; then it holds a fixed number more. Worker's thread alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/hash.h"
#include "plugins/map_table.h"
#include "plugins/pages.h"
#include "plugins/structure.h"

namespace plugins {

class NetTable final : public Table {
 public:
  enum class Added : std::uint8_t { known, fresh, refused };
  static constexpr std::uint32_t kMostTags = 1u << 24;

  NetTable();

  // Set-up: room for so many networks more than there are. Throws std::bad_alloc.
  void reserve(std::uint32_t more);

  // `prefix` of 128, as parse_net() gives it; bits behind it are ignored. A known one keeps its tag.
  Added add(const engine_addr& net, std::uint32_t prefix, std::uint32_t tag) noexcept;

  // 0, or the tag << 8 | prefix + 1.
  std::uint32_t match(const engine_addr& address) const noexcept;

  std::uint32_t size() const noexcept { return nets_; }

  // Texts that networks are tagged with. make_tag() is set-up: it allocates.
  std::uint32_t make_tag(std::string_view text);
  std::int32_t find_tag(std::string_view text) const noexcept;  // -1: there is none
  const std::string& tag(std::uint32_t number) const noexcept { return *tags_[number]; }
  bool tagged() const noexcept { return !tags_.empty(); }

  void attach(Part& part) noexcept override { part_ = static_cast<MapPart*>(&part); }
  void advance(double) noexcept override { part_->entries = nets_; }

 private:
  struct Prefix {
    std::uint64_t hi;
    std::uint64_t lo;
  };
  struct Entry {
    Prefix prefix;
    std::uint64_t longer;  // bit n: there are networks with a prefix of length + 1 + n below this one
    std::uint32_t value;   // what match() gives; 0: only a mark
    std::uint32_t length;  // + 1; 0: free
  };
  static_assert(sizeof(Entry) == 32, "two per cache line");

  static Prefix cut(Prefix prefix, std::uint32_t length) noexcept;
  std::uint32_t slot_of(const Prefix& prefix, std::uint32_t length) const noexcept;
  const Entry* find(const Prefix& address, std::uint32_t length) const noexcept;
  Entry& find_or_insert(const Prefix& prefix, std::uint32_t length) noexcept;
  std::uint32_t match_longer(const Prefix& address, std::uint32_t stem) const noexcept;
  std::uint32_t match_4(std::uint32_t address, const Prefix& full) const noexcept;
  void fill_4(std::uint32_t first, std::uint32_t length, std::uint32_t tag) noexcept;

  HashSecret secret_;
  Pages<Entry> entries_;
  std::uint32_t mask_ = 0;
  std::uint32_t used_ = 0;
  std::uint32_t nets_ = 0;
  std::uint32_t most_nets_ = 0;
  Pages<std::uint32_t> by_24_;       // see the .cpp for the bits of an entry
  std::uint32_t by_8_[256] = {};     // IPv4 networks up to /8
  std::uint32_t all_4_ = 0;          // the match for an IPv4 address that has no other
  std::uint64_t short_lengths_ = 0;  // of IPv6 networks: bit n for /n, up to /32
  bool beyond_64_ = false;           // there are IPv6 networks longer than /64
  std::map<std::string, std::uint32_t, std::less<>> tag_numbers_;
  std::vector<const std::string*> tags_;
  MapPart* part_ = nullptr;
};

}  // namespace plugins
