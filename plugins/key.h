// What a structure counts by: fields of a packet, packed into a few words, or a value that Lua gives.
//
// Keys are whole 8-byte words, so that hashing and comparing never look at single bytes, and no field straddles two
// (a narrow store followed by a wide load would stall). Specifications are plain values, made while a plugin loads;
// pack() runs on the worker's thread, visit() and less() on the collector's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/abi.h"
#include "plugins/structure.h"

namespace plugins {

inline constexpr std::uint32_t kMaxFieldWords = 16;
// One byte kind, one byte length, then the bytes. 253 is the longest DNS name as text (RFC 1035, section 3.1, without
// the root's dot); longer strings are cut there.
inline constexpr std::size_t kMaxValue_bytes = 253;
inline constexpr std::uint32_t kValueWords = 32;

// The numbers are those of the keys' first bytes, and of enum engine_key_kind in plugins/sketch_native.h.
enum class ValueKind : std::uint8_t { any = 0, text = 1, number = 2, address = 3 };

// A value as a key. Only the first `words` words are defined; the last of them is zero padded.
struct ValueKey {
  std::uint64_t data[kValueWords];
  std::uint32_t words;

  explicit ValueKey(std::string_view text) noexcept;
  explicit ValueKey(double number) noexcept;
  explicit ValueKey(const engine_addr& address) noexcept;

  struct Bytes {
    std::uint8_t kind;
    std::size_t size_bytes;
    const std::uint8_t* data;
  };
  static Bytes bytes_of(const std::uint64_t* words) noexcept {
    const auto* key = reinterpret_cast<const std::uint8_t*>(words);
    return {key[0], key[1], key + 2};
  }

 private:
  void set(std::uint8_t kind, const void* bytes, std::size_t size_bytes) noexcept;
};

class KeySpec {
 public:
  // Keys are values given to add_value(): strings, numbers, addresses, or those of one kind alone.
  static KeySpec values(ValueKind kind = ValueKind::any);
  // Keys are these fields of the packet, in this order. Throws engine::SetupError that names an unknown field.
  static KeySpec of(std::span<const std::string> fields);
  static KeySpec of(std::initializer_list<std::string_view> fields);
  // The names of() takes.
  static std::vector<std::string> known_fields();

  std::string text() const;  // the fields by name, or "value"

  bool is_one_field() const noexcept { return fields_.size() == 1; }
  bool takes(std::uint32_t kind) const noexcept { return kind_ == 0 || kind_ == kind; }  // of values
  bool by_value() const noexcept { return fields_.empty(); }
  std::uint32_t words() const noexcept { return words_; }
  std::uint64_t possible_keys() const noexcept;  // 2^32 where there are as many or more

  // Writes words() words. Only for keys by field. Each field is an 8-byte load, shifted and masked: no branch on its
  // size. Loads stay inside the packet, whose last 12 bytes are no fields.
  void pack(const engine_packet& packet, std::uint64_t* words) const noexcept {
    const auto* base = reinterpret_cast<const std::uint8_t*>(&packet);
    std::uint64_t word = 0;
    for (const Load *load = loads_.data(), *end = load + loads_.size(); load != end; ++load) {
      std::uint64_t value;
      __builtin_memcpy(&value, base + load->offset, sizeof value);
      word |= (value & load->mask) << load->shift;
      if (load->ends_word) {
        *words++ = word;
        word = 0;
      }
    }
  }

  // Packs the packet's key and gives it to use(key, words). For short keys whose words are one field each, which most
  // are, the number of words is a constant of the code: packing, hashing and comparing have no loop.
  template <typename Use>
  [[gnu::always_inline]] decltype(auto) with_key(const engine_packet& packet, const Use& use) const noexcept {
    std::uint64_t key[kMaxFieldWords];
    switch (plain_words_) {
      case 1:
        pack_plain<1>(packet, key);
        return use(key, 1);
      case 2:
        pack_plain<2>(packet, key);
        return use(key, 2);
      case 3:
        pack_plain<3>(packet, key);
        return use(key, 3);
      default:
        pack(packet, key);
        return use(key, words_);
    }
  }

  // Writes the key's fields into the packet: what pack() took from it. Only for keys by field.
  void unpack(const std::uint64_t* words, engine_packet& packet) const noexcept;

  // Gives the key's fields by name, or "key" for a value.
  void visit(const std::uint64_t* words, Visitor& visitor) const;
  // A fixed order of keys, the same on every machine and in every run.
  bool less(const std::uint64_t* a, const std::uint64_t* b) const noexcept;

 private:
  struct Field {
    std::string name;
    std::uint8_t offset = 0;      // in engine_packet
    std::uint8_t size_bytes = 0;  // 16: an address
    std::uint8_t word = 0;        // in the key
    std::uint8_t shift = 0;       // in bits
  };
  struct Load {
    std::uint64_t mask;
    std::uint8_t offset;
    std::uint8_t shift;
    bool ends_word;
  };
  template <std::uint32_t kWords>
  void pack_plain(const engine_packet& packet, std::uint64_t* words) const noexcept {
    const auto* base = reinterpret_cast<const std::uint8_t*>(&packet);
    for (std::uint32_t i = 0; i < kWords; ++i) {
      std::uint64_t value;
      __builtin_memcpy(&value, base + loads_[i].offset, sizeof value);
      words[i] = value & loads_[i].mask;
    }
  }
  void add(std::string_view name);
  void place(std::uint8_t size_bytes);
  void plan_loads();

  std::vector<Field> fields_;
  std::vector<Load> loads_;
  std::uint32_t words_ = kValueWords;
  std::uint32_t plain_words_ = 0;  // as many as loads, if each word is one; else 0
  std::uint32_t kind_ = 0;         // of values; 0: any
  std::uint32_t bits_ = 0;         // used of the word that is being filled
};

}  // namespace plugins
