#include "tests/tap/rig.h"

#include <algorithm>

namespace engine::tap_test {

Bytes udp(std::uint32_t flow, gen::VlanTags vlans, std::uint16_t size) {
  const gen::FrameTemplate frame = gen::build_frame({}, gen::Kind::udp4, vlans, size);
  Bytes bytes = frame.bytes;
  gen::patch(frame.layout, {.flow = flow}, bytes.data());
  return bytes;
}

Bytes answer(Bytes bytes) {
  std::swap_ranges(bytes.begin() + 26, bytes.begin() + 30, bytes.begin() + 30);
  std::swap_ranges(bytes.begin() + 34, bytes.begin() + 36, bytes.begin() + 36);
  return bytes;
}

PacketSocketConfig config_for(const std::string& interface) {
  PacketSocketConfig config;
  config.interface_name = interface;
  config.ifindex = xsk::read_link(interface).ifindex;
  config.ring = ring_shape(kMinRing_bytes);
  return config;
}

}  // namespace engine::tap_test
