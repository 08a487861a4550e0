// The stages of `engine bench pipeline` run over all their frames, in the product's code: what they count themselves
// says so.
#include <gtest/gtest.h>

#include <set>

#include "engine/base/error.h"
#include "engine/bench/memory_queue.h"
#include "engine/bench/memory_stages.h"

namespace engine::bench {
namespace {

constexpr std::uint32_t kFrames = 512;

TEST(FrameArea, HasEveryFrameOnceWhereAReceivedOneWouldLie) {
  const FrameArea area(traffic_named("realistic"), kFrames);
  std::set<std::uint64_t> chunks;
  for (const FrameSpan& frame : area.order()) {
    EXPECT_EQ(frame.offset % FrameArea::kChunk_bytes, FrameArea::kHeadroom_bytes);
    EXPECT_GE(frame.caplen, 60u);
    chunks.insert(frame.offset / FrameArea::kChunk_bytes);
  }
  EXPECT_EQ(chunks.size(), kFrames);
  EXPECT_EQ(*chunks.rbegin(), kFrames - 1);
}

TEST(FrameArea, RefusesTrafficThatItDoesNotKnow) { EXPECT_THROW(traffic_named("udp5"), SetupError); }

TEST(FrameArea, GivesFramesTheSourcesInTurn) {
  FrameArea area(gen::TrafficSpec{}, 4);
  const std::uint32_t sources[] = {0x0100000a, 0x0200000a, 0x0300000a};
  std::size_t next = 2;
  area.rewrite_sources({sources[0], sources[1], sources[2]}, next);
  EXPECT_EQ(next, 0u);
  std::vector<engine_packet> packets(4);
  decode_batch(
      4, area.base(), [&](std::uint32_t i) { return area.order()[i]; }, packets.data());
  EXPECT_EQ(packets[0].src4, 0x0a000003u);
  EXPECT_EQ(packets[1].src4, 0x0a000001u);
  EXPECT_EQ(packets[2].src4, 0x0a000002u);
  EXPECT_EQ(packets[3].src4, 0x0a000003u);
}

TEST(MemoryQueue, DeliversEachOfItsFramesUntilTheyComeBack) {
  FrameArea area(gen::TrafficSpec{}, kFrames);
  MemoryQueue memory(area, {128, 256}, 1);
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(memory.deliver(), round == 0 ? 256u : 100u);
    std::set<std::uint64_t> chunks;
    for (std::uint32_t left = 100; left > 0;) {
      const xsk::RxBatch batch = memory.queue().receive(std::min(left, 64u));
      ASSERT_FALSE(batch.empty());
      for (std::uint32_t i = 0; i < batch.size(); ++i) {
        EXPECT_EQ(batch[i].len, 64u);
        chunks.insert(batch[i].offset / FrameArea::kChunk_bytes);
      }
      left -= batch.size();
    }
    EXPECT_EQ(chunks.size(), 100u);
    EXPECT_GE(*chunks.begin(), 128u);
    EXPECT_LT(*chunks.rbegin(), 384u);
  }
}

std::uint64_t counted_after(Stage& stage, int passes) {
  std::uint64_t given = 0;
  for (int i = 0; i < passes; ++i) {
    given += stage.pass();
    stage.between();
  }
  EXPECT_EQ(given, std::uint64_t{kFrames} * static_cast<unsigned>(passes));
  return stage.counted();
}

TEST(Stages, LuaCountsEveryFrameAtEveryBatchSize) {
  for (const std::string_view traffic : {"udp4", "realistic"}) {
    const auto area = std::make_shared<FrameArea>(traffic_named(traffic), kFrames);
    for (const std::uint32_t batch : {1u, 64u, 100u, 256u}) {
      EXPECT_EQ(counted_after(*touch_stage(area), 3), 3 * kFrames);
      EXPECT_EQ(counted_after(*decode_stage(area, batch), 3), 3 * kFrames);
      EXPECT_EQ(counted_after(*plugin_stage(area, batch, count_plugin()), 3), 3 * kFrames);
      EXPECT_EQ(counted_after(*plugin_stage(area, batch, record_plugin()), 3), 3 * kFrames);
    }
  }
}

TEST(Stages, TheFlowTableHoldsEveryFlow) {
  const auto area = std::make_shared<FrameArea>(gen::TrafficSpec{}, kFrames);
  const auto full = plugin_stage(area, 64, flow_plugin(1000), 1000);
  EXPECT_GE(full->warm_passes() * kFrames, 1000u);
  EXPECT_EQ(counted_after(*full, static_cast<int>(full->warm_passes())), full->warm_passes() * kFrames);
  // Its on_stop finds flows missing and says no number of packets.
  const auto early = plugin_stage(area, 64, flow_plugin(1000), 1000);
  EXPECT_EQ(counted_after(*early, 1), 0u);
}

TEST(Stages, TheWorkerServesAllItsQueues) {
  for (const std::uint32_t queues : {1u, 8u}) {
    const auto stage = worker_stage(traffic_named("udp4"), kFrames, queues);
    std::uint64_t given = 0;
    for (int pass = 0; pass < 4; ++pass) {
      EXPECT_EQ(stage->pass(), kFrames);
      given += kFrames;
      stage->between();
    }
    EXPECT_EQ(stage->counted(), given);
  }
}

class Liar final : public Stage {
 public:
  std::uint64_t pass() override { return 10; }
  std::uint64_t counted() override { return 9; }
};

TEST(Measure, GivesEachStageAValueARoundAndRefusesOneThatDidNotRun) {
  std::vector<NamedStage> stages;
  stages.push_back(
      {"touch", {}, "ns_per_packet", touch_stage(std::make_shared<FrameArea>(gen::TrafficSpec{}, kFrames))});
  stages.push_back({"queue", {}, "ns_per_record", queue_stage(64)});
  stages.push_back({"json", {}, "ns_per_line", json_stage()});
  const std::vector<Result> results = measure(stages, {.rounds = 3, .time_ns = 1000});
  ASSERT_EQ(results.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const Rounds& rounds = results[i].rounds(stages[i].value_name);
    ASSERT_EQ(rounds.size(), 3u) << results[i].name;
    for (const double ns : rounds) EXPECT_GT(ns, 0);
  }
  stages.clear();
  stages.push_back({"liar", {}, "ns_per_packet", std::make_unique<Liar>()});
  EXPECT_THROW(measure(stages, {.rounds = 1, .time_ns = 1}), SetupError);
}

}  // namespace
}  // namespace engine::bench
