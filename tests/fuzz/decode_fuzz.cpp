// Any bytes as a frame of any link type, flush against an unreadable page. The first byte chooses the link type.
#include <cstdio>
#include <cstdlib>

#include "tests/decode/guarded_frame.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 65536) return 0;
  const std::span<const std::uint8_t> frame(data + 1, size - 1);
  const auto link = static_cast<engine::LinkType>(data[0] % 6);
  const engine_packet packet = test::decode_at_guard(frame, link);
  if (const char* broken = test::broken_promise(packet, frame.size()); *broken != '\0') {
    std::fprintf(stderr, "%s\n", broken);
    std::abort();
  }
  return 0;
}
