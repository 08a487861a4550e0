#include "engine/bench/frame_area.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include "engine/base/error.h"
#include "engine/gen/traffic.h"

namespace engine::bench {
namespace {

constexpr std::size_t kIpv4Source_bytes = 14 + 12;
constexpr std::uint64_t kTime_ns = 1'700'000'000'000'000'000;

}  // namespace

FrameArea::FrameArea(const gen::TrafficSpec& spec, std::uint32_t frames)
    : memory_(std::size_t{frames} * kChunk_bytes, 0, numa::NodeMemory::Populate::now) {
  gen::Traffic traffic(spec);
  if (traffic.longest_bytes() > kChunk_bytes - kHeadroom_bytes)
    throw SetupError(ExitCode::bad_usage, "lay out frames", "one is longer than a chunk holds");
  order_.reserve(frames);
  for (std::uint32_t i = 0; i < frames; ++i) {
    const std::uint64_t offset = std::uint64_t{i} * kChunk_bytes + kHeadroom_bytes;
    gen::Packet packet = traffic.next();
    packet.write(kTime_ns + i, memory_.bytes().data() + offset);
    order_.push_back({offset, static_cast<std::uint32_t>(packet.size_bytes())});
  }
  std::shuffle(order_.begin(), order_.end(), std::mt19937(1));
}

void FrameArea::rewrite_sources(const std::vector<std::uint32_t>& sources, std::size_t& next) noexcept {
  std::byte* memory = memory_.bytes().data();
  for (const FrameSpan& frame : order_) {
    const std::uint32_t address = sources[next];
    if (++next == sources.size()) next = 0;
    std::memcpy(memory + frame.offset + kIpv4Source_bytes, &address, sizeof address);
  }
}

gen::TrafficSpec traffic_named(std::string_view name) {
  gen::TrafficSpec spec;
  spec.flows = 1000;
  if (name == "udp4") return spec;
  if (name != "realistic")
    throw SetupError(ExitCode::bad_usage, "--traffic " + std::string(name), "there is no such traffic",
                     "use udp4 or realistic");
  spec.mix = gen::realistic_mix();
  spec.sizes = gen::parse_sizes("imix");
  spec.zipf = 1;
  return spec;
}

}  // namespace engine::bench
