// A range of addresses in which all memory lies that a worker's packets may lie in: packets name their frames by 32
// bits from one base, while UMEMs, rings of AF_PACKET and other parts come and go.
//
// Reserved, not used: a part is memory once somebody maps something over it (MAP_FIXED). Main thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace numa {

class AddressRange;

// Whole 2 MiB units of a range; goes back to it, with whatever was mapped there. Move-only; not to outlive the range.
class AddressPart {
 public:
  AddressPart() noexcept = default;
  AddressPart(AddressPart&& other) noexcept
      : range_(std::exchange(other.range_, nullptr)), bytes_(std::exchange(other.bytes_, {})) {}
  AddressPart& operator=(AddressPart&& other) noexcept {
    std::swap(range_, other.range_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~AddressPart();

  std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  friend class AddressRange;
  AddressPart(AddressRange& range, std::span<std::byte> bytes) noexcept : range_(&range), bytes_(bytes) {}

  AddressRange* range_ = nullptr;
  std::span<std::byte> bytes_;
};

class AddressRange {
 public:
  static constexpr std::size_t kUnit_bytes = std::size_t{2} << 20;  // a huge page fits into any part
  static constexpr std::size_t kLargest_bytes = std::size_t{4} << 30;

  explicit AddressRange(std::size_t bytes = kLargest_bytes);  // throws engine::SetupError
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;
  ~AddressRange();

  std::byte* base() const noexcept { return base_; }

  // At least so many bytes, aligned to a unit. Throws engine::SetupError(bad_usage) where the range has no such room.
  AddressPart take(std::size_t bytes);

 private:
  friend class AddressPart;
  void give_back(std::span<std::byte> part) noexcept;

  void* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  std::byte* base_ = nullptr;
  std::vector<bool> taken_;  // by unit
};

}  // namespace numa
