// The short way of decoding plain frames gives the packet that the general way gives, byte for byte, and reads nothing
// outside the captured bytes: decode_at_guard() compares the two at a guard page, for every test that decodes there.
#include "engine/decode/plain.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/decode/frames.h"
#include "tests/decode/guarded_frame.h"
#include "tests/decode/random_traffic.h"

namespace engine {
namespace {

using namespace test;

TEST(Plain, DecodesRandomTrafficAsTheGeneralWayDoes) {
  Traffic traffic;
  for (int i = 0; i < 20'000; ++i) decode_at_guard(traffic.frame());
}

// One byte of the headers at a time takes every value: each check that the short way makes, from both sides.
TEST(Plain, AgreesWhateverAByteOfTheHeadersSays) {
  for (const Bytes& frame : {ethernet(0x0800) + ipv4({.proto = 17}, udp(1, 2, filled(40))),
                             ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 0x18, filled(40))),
                             ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 0x18, filled(3), filled(12)))}) {
    for (std::size_t at = 12; at < 54; ++at) {
      Bytes changed = frame;
      for (int value = 0; value < 256; ++value) {
        changed[at] = static_cast<std::uint8_t>(value);
        decode_at_guard(changed);
      }
    }
  }
}

TEST(Plain, AgreesWhereverTheCaptureEnds) {
  for (const Bytes& frame : {ethernet(0x0800) + ipv4({.proto = 17}, udp(1, 2, filled(40))),
                             ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 0x18, filled(40), filled(20)))})
    for (std::size_t bytes = 0; bytes <= frame.size(); ++bytes)
      decode_at_guard(Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(bytes)));
}

TEST(Plain, AgreesOnLengthsThatLie) {
  std::mt19937 random(3);
  for (const std::uint8_t proto : {6, 17}) {
    Bytes frame = ethernet(0x0800) + ipv4({.proto = proto}, filled(60));
    for (int i = 0; i < 50'000; ++i) {
      frame[16] = static_cast<std::uint8_t>(random() % 2);
      frame[17] = static_cast<std::uint8_t>(random());
      frame[38] = static_cast<std::uint8_t>(random() % 2);
      frame[39] = static_cast<std::uint8_t>(random());
      frame[46] = static_cast<std::uint8_t>(random());
      decode_at_guard(frame);
    }
  }
}

#ifdef __x86_64__
// Else the tests above would compare the general way with itself.
[[gnu::target("ssse3")]] bool is_plain(const Bytes& frame) {
  engine_packet packet;
  return decode_plain({frame.data(), frame.size()}, 0, 0, PlainArrival({}), packet);
}

TEST(Plain, TakesTheFramesThatItIsFor) {
  if (!kHasPlainDecode) GTEST_SKIP() << "this processor has no SSSE3";
  EXPECT_TRUE(is_plain(ethernet(0x0800) + ipv4({.proto = 17}, udp(1, 2, filled(18)))));
  EXPECT_TRUE(is_plain(ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 2, {}, filled(20)))));
  EXPECT_FALSE(is_plain(ethernet(0x0800) + ipv4({.proto = 17, .options = filled(4)}, udp(1, 2, filled(18)))));
  EXPECT_FALSE(is_plain(ethernet(0x0800) + ipv4({.proto = 1}, filled(30))));
}
#endif

}  // namespace
}  // namespace engine
