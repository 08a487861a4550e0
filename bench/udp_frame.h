// The frame that the kernel's filters and programs are measured with.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

namespace bench {

// UDP over IPv4 in 64 bytes, from 10.0.0.0 and up (the last bytes are the caller's) to 198.51.100.1, port 53.
inline std::array<std::uint8_t, 64> udp_frame() {
  std::array<std::uint8_t, 64> frame = {};
  const std::uint8_t head[] = {2, 0, 0,  0,  0, 1, 2,  0, 0, 0, 0,   2,  0x08, 0x00, 0x45, 0,    0, 50, 0, 0,
                               0, 0, 64, 17, 0, 0, 10, 0, 0, 0, 198, 51, 100,  1,    0x03, 0xe8, 0, 53, 0, 30};
  std::copy(std::begin(head), std::end(head), frame.begin());
  return frame;
}

}  // namespace bench
