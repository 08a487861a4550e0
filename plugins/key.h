// What a structure counts by: fields of a packet, packed into a few bytes, or a value that Lua gives.
//
// Packed keys are padded to whole 8-byte words, so that hashing and comparing never look at single bytes. Plain values,
// made while a plugin loads; pack() runs on the worker's thread, visit() on the collector's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/abi.h"
#include "plugins/structure.h"

namespace plugins {

// Enough for the 5-tuple, VLAN and queue of an IPv6 packet, several times over.
inline constexpr std::size_t kMaxFieldKey_bytes = 64;
// A value key: one byte kind, one byte length, then the bytes. 253 is the longest DNS name (RFC 1035, section 3.1, as
// text without the root's dot); longer strings are cut there.
inline constexpr std::size_t kMaxValue_bytes = 253;
inline constexpr std::size_t kValueKey_bytes = 256;

class KeySpec {
 public:
  // Keys are values given to add(): a string, a number or an address.
  static KeySpec values();
  // Keys are these fields of the packet. Throws engine::SetupError that names an unknown field.
  static KeySpec of(std::span<const std::string> fields);
  static KeySpec of(std::initializer_list<std::string_view> fields);

  bool by_value() const noexcept { return fields_.empty(); }
  std::size_t size_bytes() const noexcept { return size_bytes_; }  // a multiple of 8
  std::uint64_t possible_keys() const noexcept;                    // 2^64 - 1 where that is more than fits

  // Writes size_bytes() bytes. Only for keys by field.
  void pack(const engine_packet& packet, std::uint64_t* words) const noexcept {
    if (single_ != nullptr) return pack_single(packet, words);
    pack_fields(packet, words);
  }

  // Gives the key's fields by name, or "key" for a value.
  void visit(const std::uint64_t* words, Visitor& visitor) const;

  friend bool operator==(const KeySpec& a, const KeySpec& b) noexcept { return a.names_ == b.names_; }

 private:
  struct Field {
    std::string name;
    std::uint8_t offset;  // in engine_packet
    std::uint8_t size_bytes;
    bool is_address;
  };
  void add(std::string_view name);
  void pack_single(const engine_packet& packet, std::uint64_t* words) const noexcept;
  void pack_fields(const engine_packet& packet, std::uint64_t* words) const noexcept;
  void visit_value(const std::uint8_t* key, Visitor& visitor) const;

  std::vector<Field> fields_;
  std::vector<std::string> names_;
  std::size_t size_bytes_ = kValueKey_bytes;
  const Field* single_ = nullptr;
};

}  // namespace plugins
