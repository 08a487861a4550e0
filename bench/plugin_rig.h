// A plugin's state as the micro-benchmarks run it: packets, an outbox and nothing else around it.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "plugins/runtime.h"

namespace bench {

inline constexpr std::uint32_t kRigCapacity = 256;

class PluginRig {
 public:
  // `frames`: what the warm-up's and the later packets' _off counts from.
  PluginRig(const char* code, std::span<const engine_packet> warm_up, const std::uint8_t* frames)
      : state_(spec(code), binding(warm_up, frames)) {}
  PluginRig(const PluginRig&) = delete;
  PluginRig& operator=(const PluginRig&) = delete;

  // The packets that are offered from now on, from the first one: in place, the state is bound to them.
  void give(std::span<const engine_packet> packets) noexcept {
    std::memcpy(static_cast<void*>(packets_.data()), packets.data(), packets.size_bytes());
  }
  void run(std::uint32_t count) noexcept {
    outbox_.used = 0;
    state_.run(count);
  }
  plugins::State& state() noexcept { return state_; }

 private:
  static plugins::PluginSpec spec(const char* code) {
    plugins::PluginSpec spec;
    spec.name = "bench";
    spec.code = code;
    return spec;
  }
  plugins::Binding binding(std::span<const engine_packet> warm_up, const std::uint8_t* frames) {
    plugins::Binding binding;
    binding.packets = packets_.data();
    binding.capacity = kRigCapacity;
    binding.frames = frames;
    binding.outbox = &outbox_;
    binding.traffic = {warm_up, frames};
    return binding;
  }

  std::vector<engine_packet> packets_ = std::vector<engine_packet>(kRigCapacity + 1);
  std::vector<std::uint8_t> queue_ = std::vector<std::uint8_t>(1u << 20);
  engine_outbox outbox_{queue_.data(), 0, static_cast<std::uint32_t>(queue_.size()), 0, 0};
  plugins::State state_;
};

}  // namespace bench
