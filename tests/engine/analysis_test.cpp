// What a worker does around its plugins: filters, intervals, hand-over of structures, lost results.
#include "engine/analysis.h"
#include "bpf/filter.h"

#include <gtest/gtest.h>

#include <map>

#include "engine/decode/decode.h"
#include "engine/gen/traffic.h"
#include "engine/session.h"
#include "tests/engine/parts.h"

namespace engine {
namespace {

constexpr std::uint64_t kSecond_ns = 1'000'000'000;
constexpr std::uint64_t kEpoch_ns = 1'700'000'000 * kSecond_ns;

class AnalysisTest : public ::testing::Test {
 protected:
  explicit AnalysisTest(std::size_t ring_bytes = 256u << 10)
      : analysis_({.ring_bytes = ring_bytes, .make_room = {}, .epoch_ns = kEpoch_ns}),
        frames_(gen::builtin_frames(64)) {}

  void load(const std::string& code, const std::string& second = {}) {
    cli::Settings settings;
    settings.plugins.push_back({.path = {}, .code = code, .name = "test", .args = {}});
    if (!second.empty()) settings.plugins.push_back({.path = {}, .code = second, .name = "second", .args = {}});
    plugins_ = std::make_unique<PluginSet>(settings, bpf::filter_ethernet);
    plugins_->load({"eth0", {0}, 0, 0}, 0, analysis_);
    analysis_.begin(memory(), kEpoch_ns);
  }

  const std::uint8_t* memory() const { return reinterpret_cast<const std::uint8_t*>(frames_.memory.data()); }

  void run_batch() {
    decode_batch(
        64, memory(),
        [&](std::uint32_t i) {
          return FrameSpan{frames_.offsets[i], frames_.lengths[i]};
        },
        analysis_.packets());
    analysis_.run(64);
  }

  std::map<int, int> take_messages() { return test::take_messages(analysis_); }

  std::unique_ptr<PluginSet> plugins_;
  Analysis analysis_;
  gen::FrameSet frames_;
};

const char* const kCounts = R"(
local protocols = engine.counter { name = "protocols", key = "proto" }
function on_packet(p) protocols:add(p) end
)";

TEST_F(AnalysisTest, HandsEachStructureOverAtTheIntervalsEnd) {
  load(kCounts);
  run_batch();
  analysis_.advance_time(kEpoch_ns + kSecond_ns / 2);
  EXPECT_TRUE(take_messages().empty());
  analysis_.advance_time(kEpoch_ns + kSecond_ns);
  const auto kinds = take_messages();
  EXPECT_EQ(kinds.at(ENGINE_MESSAGE_PART), 1);
  EXPECT_EQ(kinds.at(ENGINE_MESSAGE_INTERVAL), 1);
}

TEST_F(AnalysisTest, KeepsAPartWhoseSpareIsNotBackYet) {
  load(kCounts);
  plugins::Structure& structure = *analysis_.slots()[0]->service->structures().all()[0];
  plugins::Part* with_the_collector = structure.swap();
  run_batch();
  analysis_.advance_time(kEpoch_ns + kSecond_ns);
  EXPECT_EQ(take_messages().count(ENGINE_MESSAGE_PART), 0u);
  EXPECT_FALSE(structure.active().empty()) << "nothing of it is lost";
  structure.give_back(with_the_collector);
  analysis_.advance_time(kEpoch_ns + 2 * kSecond_ns);
  EXPECT_EQ(take_messages().at(ENGINE_MESSAGE_PART), 1);
}

TEST_F(AnalysisTest, OffersAPluginOnlyWhatItsFilterMatches) {
  load(R"(
filter = "udp"
local seen = engine.record { name = "seen", { "proto", "u8" } }
function on_packet(p) seen:emit(p.proto) end
)");
  run_batch();
  std::uint64_t udp = 0;
  for (int i = 0; i < 64; ++i) udp += analysis_.packets()[i].proto == 17 && analysis_.packets()[i].vlan == 0;
  ASSERT_GT(udp, 0u);
  const PluginFigures& figures = analysis_.slots()[0]->figures;
  EXPECT_EQ(figures.packets, udp);
  EXPECT_EQ(figures.filtered, 64 - udp);
  EXPECT_EQ(take_messages().at(ENGINE_MESSAGE_RECORD), static_cast<int>(udp));
}

class SmallRing : public AnalysisTest {
 protected:
  SmallRing() : AnalysisTest(4096) {}
};

TEST_F(SmallRing, DropsTheNewestResultsAndCountsThem) {
  load(R"(
local seen = engine.record { name = "seen", { "src", "ip" } }
function on_packet(p) seen:emit(p.src) end
)");
  for (int i = 0; i < 10; ++i) run_batch();
  const int taken = take_messages().at(ENGINE_MESSAGE_RECORD);
  EXPECT_GT(analysis_.results_dropped(), 0u);
  EXPECT_EQ(analysis_.results(), static_cast<std::uint64_t>(taken));
  EXPECT_EQ(analysis_.results() + analysis_.results_dropped(), 640u);
}

class SharedRing : public AnalysisTest {
 protected:
  SharedRing() : AnalysisTest(64u << 10) {}

  // Records in the ring, by plugin; takes them out.
  std::array<int, 2> take_records() {
    std::array<int, 2> records{};
    for (auto bytes = analysis_.ring().readable(); !bytes.empty(); bytes = analysis_.ring().readable()) {
      engine_message head;
      std::memcpy(&head, bytes.data(), sizeof head);
      if (head.kind == ENGINE_MESSAGE_RECORD) ++records[head.plugin];
      analysis_.ring().consume(head.length);
    }
    return records;
  }
};

TEST_F(SharedRing, NoPluginFillsTheRingAtTheOthersExpense) {
  load(
      "local r = engine.record { name = 'r', { 'n', 'u64' } } function on_packet(p) for i = 1, 50 do r:emit(i) end end",
      "local r, n = engine.record { name = 'r', { 'n', 'u64' } }, 0 "
      "function on_packet(p) n = n + 1 if n % 64 == 0 then r:emit(n) end end");
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) run_batch();
    const std::array<int, 2> records = take_records();
    EXPECT_EQ(records[1], 100) << "one a batch, in round " << round;
    EXPECT_GT(records[0], 400) << "the flood has its share";
    run_batch();  // the collector has caught up: a new round
    EXPECT_GT(take_records()[0], 400);
  }
  EXPECT_GT(analysis_.results_dropped(), 300'000u);
}

}  // namespace
}  // namespace engine
