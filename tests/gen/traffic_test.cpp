// The sequence: shares, flows, determinism.
#include "engine/gen/traffic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/base/error.h"
#include "engine/gen/samples.h"
#include "tests/gen/independent.h"

namespace engine::gen::test {
namespace {

TrafficSpec realistic(std::uint64_t seed) {
  TrafficSpec spec;
  spec.mix = realistic_mix();
  spec.sizes = parse_sizes("imix");
  spec.flows = 500;
  spec.zipf = 1.1;
  spec.seed = seed;
  return spec;
}

std::vector<std::byte> bytes_of(Traffic& traffic, std::size_t packets) {
  std::vector<std::byte> all;
  for (std::size_t i = 0; i < packets; ++i) {
    Packet packet = traffic.next();
    const std::size_t at = all.size();
    all.resize(at + packet.size_bytes());
    packet.write(i, all.data() + at);
  }
  return all;
}

TEST(Traffic, TheSameSeedMakesTheSameBytes) {
  Traffic first(realistic(7)), second(realistic(7)), other(realistic(8));
  const auto bytes = bytes_of(first, 5000);
  EXPECT_EQ(bytes, bytes_of(second, 5000));
  EXPECT_NE(bytes, bytes_of(other, 5000));
}

TEST(Traffic, ImixIsSevenToFourToOneInEveryTwelve) {
  TrafficSpec spec;
  spec.sizes = parse_sizes("imix");
  Traffic traffic(spec);
  for (int round = 0; round < 50; ++round) {
    std::map<std::size_t, int> count;
    for (int i = 0; i < 12; ++i) ++count[traffic.next().size_bytes()];
    ASSERT_EQ(count, (std::map<std::size_t, int>{{60, 7}, {590, 4}, {1514, 1}}));
  }
}

TEST(Traffic, SharesOfTheMixAreExactOverAPass) {
  TrafficSpec spec;
  spec.mix = parse_mix("udp4=4,tcp4=4,dns4=1,icmp6=1,udp6@10.20=2");
  Traffic traffic(spec);
  std::map<Kind, int> count;
  for (int i = 0; i < 12 * 100; ++i) ++count[traffic.next().kind()];
  EXPECT_EQ(count,
            (std::map<Kind, int>{
                {Kind::udp4, 400}, {Kind::tcp4, 400}, {Kind::dns4, 100}, {Kind::icmp6, 100}, {Kind::udp6, 200}}));
}

TEST(Traffic, UniformFlowsHaveTheSameShareAndAreToldFromThePacket) {
  TrafficSpec spec;
  spec.flows = 70'000;  // more than there are ports
  Traffic traffic(spec);
  std::map<std::uint64_t, int> count;
  std::vector<std::byte> frame(traffic.longest_bytes());
  for (std::uint32_t i = 0; i < 2 * spec.flows; ++i) {
    Packet packet = traffic.next();
    packet.write(i, frame.data());
    const Seen seen = read_packet(frame);
    ASSERT_EQ(seen.fault, "");
    ASSERT_EQ(seen.source_low, 0x0a000001 + packet.variation.flow);
    ASSERT_EQ(seen.source_port, 1024 + packet.variation.flow % 64512);
    ++count[seen.source_low];
  }
  EXPECT_EQ(count.size(), spec.flows);
  for (const auto& [flow, packets] : count) ASSERT_EQ(packets, 2) << flow;
}

TEST(Traffic, ZipfSharesFollowTheLaw) {
  // Chi-squared over the 50 most frequent flows and the rest: 50 degrees of freedom, 99.9th percentile 86.7.
  for (double exponent : {0.8, 1.0, 1.4}) {
    constexpr std::uint32_t flows = 1000;
    constexpr int draws = 400'000;
    const FlowPicker picker(flows, exponent, 3);
    std::vector<int> count(flows);
    for (int n = 0; n < draws; ++n) ++count[picker.pick(static_cast<std::uint64_t>(n))];
    double total = 0;
    for (std::uint32_t i = 0; i < flows; ++i) total += std::pow(i + 1.0, -exponent);
    double chi = 0, rest_expected = draws, rest_seen = draws;
    for (std::uint32_t i = 0; i < 50; ++i) {
      const double expected = draws * std::pow(i + 1.0, -exponent) / total;
      chi += (count[i] - expected) * (count[i] - expected) / expected;
      rest_expected -= expected;
      rest_seen -= count[i];
    }
    chi += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
    EXPECT_LT(chi, 86.7) << "exponent " << exponent;
  }
}

TEST(Traffic, DnsComesAsQueryAndResponseOfOneFlow) {
  TrafficSpec spec;
  spec.mix = parse_mix("dns6");
  spec.flows = 9;
  Traffic traffic(spec);
  std::vector<std::byte> query(traffic.longest_bytes()), response(traffic.longest_bytes());
  std::map<std::uint64_t, int> ids;
  for (int i = 0; i < 300; ++i) {
    Packet first = traffic.next();
    first.write(0, query.data());
    Packet second = traffic.next();
    second.write(0, response.data());
    const Seen asked = read_packet(std::span(query).first(first.size_bytes()));
    const Seen answered = read_packet(std::span(response).first(second.size_bytes()));
    EXPECT_EQ(asked.source_low, answered.destination_low);
    EXPECT_EQ(asked.source_port, answered.destination_port);
    ++ids[number(asked.payload, 0, 2)];
    ASSERT_EQ(number(asked.payload, 0, 2), number(answered.payload, 0, 2));
  }
  EXPECT_EQ(ids.size(), 300U);
}

TEST(Traffic, SequenceNumbersHaveNoGapsWhateverElseIsInTheMix) {
  Traffic traffic(realistic(1));
  std::uint64_t next = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Packet packet = traffic.next();
    if (packet.frame->stamped()) {
      ASSERT_EQ(packet.variation.sequence, next++);
    }
  }
  EXPECT_GT(next, 5000U);
}

TEST(Traffic, SaysWhatIsNotAsTheWordsSuggest) {
  TrafficSpec spec;
  spec.mix = parse_mix("tcp4,tcp6,udp4");
  const Traffic traffic(spec);
  ASSERT_EQ(traffic.notes().size(), 2U);
  EXPECT_EQ(traffic.notes()[0], "longer than asked for, as their headers are (bytes): tcp6 74");
  EXPECT_EQ(traffic.notes()[1],
            "no sequence number and time stamp, 16 bytes of payload do not fit (bytes): tcp4 64, tcp6 74");
}

TEST(Traffic, RefusesADeckThatIsTooLarge) {
  TrafficSpec spec;
  spec.mix = parse_mix("udp4=1000");
  spec.sizes = parse_sizes("64=1000");
  EXPECT_THROW(Traffic{spec}, SetupError);
}

TEST(BuiltinFrames, AreCompleteAlignedAndAlwaysTheSame) {
  const FrameSet set = builtin_frames(4096), again = builtin_frames(4096);
  const std::size_t samples = sample_frames().size();
  EXPECT_EQ(set.memory, again.memory);
  ASSERT_EQ(set.offsets.size(), 4096U);
  std::map<int, int> protocols;
  for (std::size_t i = 0; i < set.offsets.size(); ++i) {
    ASSERT_EQ(set.offsets[i] % 64, 0U);
    const auto frame = std::span<const std::byte>(set.memory).subspan(set.offsets[i], set.lengths[i]);
    if (i % 8 == 7) {  // a sample; what it holds is checked below
      const auto sample = sample_frames(static_cast<unsigned>(i / 8 / samples))[i / 8 % samples];
      ASSERT_TRUE(std::ranges::equal(frame, sample)) << i;
      continue;
    }
    const Seen seen = read_packet(frame);
    ASSERT_EQ(seen.fault, "");
    ++protocols[seen.proto + 1000 * seen.ip_version];
  }
  EXPECT_EQ(protocols.size(), 6U);  // TCP, UDP and ICMP, each over both
}

// The Internet checksum over all of it, its field included: all ones (RFC 1071).
bool is_summed(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + 2 <= bytes.size(); at += 2) sum += number(bytes, at, 2);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff;
}

TEST(SampleFrames, AreWellFormed) {
  int segments = 0, errors = 0, arps = 0;
  for (const std::vector<std::byte>& frame : sample_frames()) {
    const std::span<const std::byte> bytes(frame);
    if (number(bytes, 12, 2) == 0x0806) {
      EXPECT_EQ(bytes.size(), 60U);
      ++arps;
    } else if (number(bytes, 23, 1) == 1) {
      EXPECT_EQ(number(bytes, 16, 2) + 14, bytes.size());
      EXPECT_TRUE(is_summed(bytes.subspan(14, 20)) && is_summed(bytes.subspan(34)) && is_summed(bytes.subspan(42, 20)));
      ++errors;
    } else {
      EXPECT_EQ(read_packet(bytes).fault, "");
      ++segments;
    }
  }
  EXPECT_EQ(segments, 36);
  EXPECT_EQ(errors, 4);
  EXPECT_EQ(arps, 4);
}

}  // namespace
}  // namespace engine::gen::test
