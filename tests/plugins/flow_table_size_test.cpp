// Flow tables of the sizes that operators give them.
#include <sys/resource.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "tests/plugins/flow_lab.h"

using lab::limits;
using lab::packet_of;
using plugins::FlowOptions;

namespace {

TEST(FlowTable, AMillionFlowsAreEachFoundAgain) {
  constexpr std::uint32_t kFlows = 1'000'000;
  auto options = std::make_shared<FlowOptions>(limits(1e6, 1e6, kFlows));
  plugins::FlowPart part(options, 16);
  plugins::FlowTable table(options);
  table.attach(part);
  std::vector<engine_packet> batch(64, packet_of({.payload = 1}));
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t i = 0; i < kFlows; i += 64) {
      for (std::uint32_t k = 0; k < 64; ++k) {
        LAB_SET(batch[k], src_port, (i + k) & 0xffff);
        LAB_SET(batch[k], dst_port, (i + k) >> 16);
      }
      table.before_batch(batch.data(), nullptr, 64);
      for (const engine_packet& packet : batch) {
        const engine_flow* flow = table.add(packet);
        ASSERT_EQ(flow->packets[0] + flow->packets[1], static_cast<std::uint64_t>(round + 1));
      }
    }
    ASSERT_EQ(table.size(), kFlows);
  }
  table.finish(1);
  EXPECT_EQ(table.size(), 0u);
}

// What was looked up ahead of a batch is only of use to this batch's packets: others, in the same place of the array or
// in another one, are looked at anew.
TEST(FlowTable, LookingAheadChangesNoFlow) {
  constexpr std::uint32_t kFlows = 5000, kBatch = 64;
  auto options = std::make_shared<FlowOptions>(limits(1e6, 1e6, kFlows));
  plugins::FlowPart ahead_part(options, 16), plain_part(options, 16);
  plugins::FlowTable ahead(options), plain(options);
  ahead.attach(ahead_part);
  plain.attach(plain_part);
  std::vector<engine_packet> batch(kBatch, packet_of({.payload = 1}));
  std::mt19937 random(1);
  const auto renew = [&](std::uint32_t k, double time) {
    LAB_SET(batch[k], src_port, random() % kFlows);
    LAB_SET(batch[k], ip_version, random() % 20 == 0 ? 0 : 4);
    LAB_SET(batch[k], time, time);
    LAB_SET(batch[k], _off, k * 2048);
  };
  const auto add = [&](const engine_packet& packet) {
    unsigned side_ahead = 7, side_plain = 7;
    const engine_flow* one = ahead.add(packet, side_ahead);
    const engine_flow* other = plain.add(packet, side_plain);
    ASSERT_EQ(one == nullptr, other == nullptr);
    if (one == nullptr) return;
    EXPECT_EQ(side_ahead, side_plain);
    EXPECT_EQ(std::memcmp(one->key, other->key, sizeof one->key), 0);
    EXPECT_EQ(one->packets[0] + one->packets[1], other->packets[0] + other->packets[1]);
  };
  for (std::uint32_t round = 0; round < 2000; ++round) {
    std::vector<std::uint16_t> index;
    for (std::uint32_t k = 0; k < kBatch; ++k) {
      renew(k, round + 1.0);
      if (round % 3 != 0 || random() % 2 == 0) index.push_back(static_cast<std::uint16_t>(k));
    }
    const bool all = round % 3 != 0;
    ahead.before_batch(batch.data(), all ? nullptr : index.data(), static_cast<std::uint32_t>(index.size()));
    for (const std::uint16_t k : index) add(batch[k]);
    add(batch[random() % kBatch]);  // also one that the filter left out
    const engine_packet elsewhere = batch[random() % kBatch];
    add(elsewhere);
    const std::uint32_t later = random() % kBatch;  // the array has gone on, and nobody looked ahead
    renew(later, round + 1.5);
    add(batch[later]);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
  EXPECT_GT(ahead.size(), 4000u) << "more than it takes for looking ahead to begin";
  EXPECT_EQ(ahead.size(), plain.size());
}

long page_faults() {
  rusage use{};
  getrusage(RUSAGE_THREAD, &use);
  return use.ru_minflt + use.ru_majflt;
}

// A table of a size where each flow lies in a page of its own, also with huge pages.
TEST(FlowTable, OnceTouchedItsFirstFlowsCostNoPages) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer's own memory takes a page for each page that is used";
#endif
  auto options = std::make_shared<FlowOptions>(limits(1e6, 1e6, 4'000'000));
  plugins::FlowPart part(options, 16);
  plugins::FlowTable table(options);
  table.attach(part);
  table.touch();
  engine_packet packet = packet_of({.payload = 1});
  table.add(packet);  // the code's own pages
  const long before = page_faults();
  for (std::uint16_t port = 1; port <= 256; ++port) {
    LAB_SET(packet, src_port, port);
    table.add(packet);
  }
  EXPECT_EQ(table.size(), 257u);
  EXPECT_LT(page_faults() - before, 8);
}

}  // namespace
