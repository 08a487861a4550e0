// Rows of flows in one block of memory: an engine_flow, then the fields that the plugin declared, in whole cache lines.
#pragma once

#include <cstdint>

#include "plugins/flows/flow_memory.h"
#include "plugins/flows_native.h"

namespace plugins {

class FlowRows {
 public:
  // `user_bytes`: what lies behind the flow.
  FlowRows(std::size_t rows, std::uint32_t user_bytes)
      : stride_bytes_((sizeof(engine_flow) + user_bytes + 63) / 64 * 64), memory_(rows * stride_bytes_) {}

  engine_flow& operator[](std::size_t row) noexcept {
    return *reinterpret_cast<engine_flow*>(static_cast<std::byte*>(memory_.data()) + row * stride_bytes_);
  }
  const engine_flow& operator[](std::size_t row) const noexcept {
    return *reinterpret_cast<const engine_flow*>(static_cast<const std::byte*>(memory_.data()) + row * stride_bytes_);
  }

  std::uint32_t number_of(const engine_flow& flow) const noexcept {
    const auto at = reinterpret_cast<const std::byte*>(&flow) - static_cast<const std::byte*>(memory_.data());
    return static_cast<std::uint32_t>(static_cast<std::size_t>(at) / stride_bytes_);
  }
  std::size_t stride_bytes() const noexcept { return stride_bytes_; }
  std::size_t capacity() const noexcept { return memory_.size_bytes() / stride_bytes_; }
  void reserve(std::size_t rows) { memory_.grow(rows * stride_bytes_); }
  void touch(std::size_t first_bytes) noexcept { memory_.touch(first_bytes); }
  // Gives back the memory behind so many bytes, whole pages.
  void forget_behind(std::size_t kept_bytes) noexcept { memory_.forget_behind(kept_bytes); }

 private:
  std::size_t stride_bytes_;
  FlowMemory memory_;
};

}  // namespace plugins
