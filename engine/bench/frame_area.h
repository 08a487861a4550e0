// Frames in memory for measurements without a network: as many as asked for, laid out like a UMEM (one a chunk, behind
// the kernel's headroom), visited in a random order, as rings come to hand them out. Always the same ones.
//
// Made on the main thread, used by one thread at a time.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/decode/decode.h"
#include "engine/gen/spec.h"
#include "numa/memory.h"

namespace engine::bench {

class FrameArea {
 public:
  static constexpr std::uint32_t kChunk_bytes = 2048;
  static constexpr std::uint32_t kHeadroom_bytes = 256;

  FrameArea(const gen::TrafficSpec& traffic, std::uint32_t frames);

  const std::uint8_t* base() const noexcept { return reinterpret_cast<const std::uint8_t*>(memory_.bytes().data()); }
  std::span<std::byte> memory() noexcept { return memory_.bytes(); }
  const std::vector<FrameSpan>& order() const noexcept { return order_; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(order_.size()); }

  // Gives each frame the next of these source addresses (network byte order), beginning anew behind the last one. The
  // checksums are left as they were. For IPv4 without a VLAN tag.
  void rewrite_sources(const std::vector<std::uint32_t>& sources, std::size_t& next) noexcept;

 private:
  numa::NodeMemory memory_;
  std::vector<FrameSpan> order_;
};

// The two that the pipeline runs over: "udp4" (64-byte UDP over IPv4) and "realistic" (all kinds, tags, IMIX sizes).
// Throws SetupError for another name.
gen::TrafficSpec traffic_named(std::string_view name);

}  // namespace engine::bench
