// Builds packets from front to back, numbers in network byte order. Set-up only: it allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace engine::gen {

class ByteWriter {
 public:
  // Where the next byte goes.
  std::uint16_t at() const noexcept { return static_cast<std::uint16_t>(bytes_.size()); }

  void u8(unsigned value) { bytes_.push_back(static_cast<std::byte>(value)); }
  void u16(unsigned value) {
    u8(value >> 8 & 0xff);
    u8(value & 0xff);
  }
  void u32(std::uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void raw(std::span<const std::uint8_t> data) {
    for (std::uint8_t value : data) u8(value);
  }
  void raw(std::span<const std::byte> data) { bytes_.insert(bytes_.end(), data.begin(), data.end()); }

  std::span<std::byte> bytes() noexcept { return bytes_; }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace engine::gen
