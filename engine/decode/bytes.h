// Bounded reading of a captured frame. Every decoder asks Frame::has() before it loads, so that no byte outside the
// captured ones is touched, whatever the headers claim. Headers are big-endian and lie at any alignment.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace engine {

inline std::uint16_t from_network(std::uint16_t raw) noexcept {
  return std::endian::native == std::endian::little ? __builtin_bswap16(raw) : raw;
}
inline std::uint32_t from_network(std::uint32_t raw) noexcept {
  return std::endian::native == std::endian::little ? __builtin_bswap32(raw) : raw;
}

// Two registers: pass it by value.
struct Frame {
  const std::uint8_t* data;
  std::size_t size;  // captured bytes

  bool has(std::size_t offset, std::size_t bytes) const noexcept { return offset <= size && size - offset >= bytes; }

  std::uint8_t u8(std::size_t offset) const noexcept { return data[offset]; }
  std::uint16_t u16(std::size_t offset) const noexcept { return from_network(load<std::uint16_t>(offset)); }
  std::uint32_t u32(std::size_t offset) const noexcept { return from_network(load<std::uint32_t>(offset)); }
  // As the bytes lie, not converted.
  template <class T>
  T load(std::size_t offset) const noexcept {
    T value;
    std::memcpy(&value, data + offset, sizeof value);
    return value;
  }
};

}  // namespace engine
