// Flow tables of the sizes that operators give them.
#include <sys/resource.h>

#include <memory>
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
