// Bounded reading of a captured frame. Every decoder asks Frame::has() before it loads, so that no byte outside the
// captured ones is touched, whatever the headers claim. Headers are big-endian and lie at any alignment.
#pragma once

#include <bit>
#include <cassert>
#include <cstdint>
#include <cstring>

namespace engine {

struct Frame {
  const std::uint8_t* data;
  std::uint32_t size;  // captured bytes

  bool has(std::uint32_t offset, std::uint32_t bytes) const noexcept {
    return offset <= size && size - offset >= bytes;
  }

  std::uint8_t u8(std::uint32_t offset) const noexcept {
    assert(has(offset, 1));
    return data[offset];
  }
  std::uint16_t u16(std::uint32_t offset) const noexcept {
    const auto raw = load<std::uint16_t>(offset);
    return std::endian::native == std::endian::little ? __builtin_bswap16(raw) : raw;
  }
  std::uint32_t u32(std::uint32_t offset) const noexcept {
    const auto raw = load<std::uint32_t>(offset);
    return std::endian::native == std::endian::little ? __builtin_bswap32(raw) : raw;
  }
  // As the bytes lie, not converted.
  template <class T>
  T load(std::uint32_t offset) const noexcept {
    assert(has(offset, sizeof(T)));
    T value;
    std::memcpy(&value, data + offset, sizeof value);
    return value;
  }
};

}  // namespace engine
