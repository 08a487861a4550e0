// A plugin on a worker over the lives of its states: what follows a death, quarantine, reload, and what goes on through
// all of it.
#include "engine/plugin_slot.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "engine/base/error.h"
#include "engine/decode/decode.h"
#include "engine/gen/traffic.h"
#include "plugins/counter.h"

namespace engine {
namespace {

constexpr double kSecond_ns = 1e9;
constexpr std::uint32_t kBatch = 64;

class PluginSlotTest : public ::testing::Test {
 protected:
  PluginSlotTest()
      : frames_(gen::builtin_frames(kBatch)), packets_(257), memory_(1u << 20), log_(cli::LogLevel::error, -1) {
    outbox_ = engine_outbox{memory_.data(), 0, static_cast<std::uint32_t>(memory_.size()), 0, 0};
    path_ = std::filesystem::temp_directory_path() / ("plugin_slot_test." + std::to_string(getpid()) + ".lua");
  }
  ~PluginSlotTest() override {
    workshop_->stop();
    slot_.reset();
    std::filesystem::remove(path_);
  }

  plugins::PluginSpec spec(const std::string& code) {
    std::ofstream(path_) << code;
    plugins::PluginSpec spec;
    spec.name = "p";
    spec.path = path_;
    spec.memory_bytes = 16u << 20;
    spec.deadline_ns = 20'000'000;
    return spec;
  }

  void load(const std::string& code, bool lossless = true) {
    workshop_ = std::make_unique<Workshop>(std::vector{spec(code)}, 1, Workshop::Source{});
    plugins::Seat seat;
    seat.packets = packets_.data();
    seat.frames = memory();
    seat.outbox = &outbox_;
    seat.epoch_ns = 1'700'000'000'000'000'000;
    slot_ = std::make_unique<PluginSlot>(*workshop_, 0, seat, lossless);
    slot_->seat(workshop_->make(0));
    workshop_->add_slot(0, *slot_);
    workshop_->start({log_,
                      [this](std::string_view event, std::string_view members) {
                        const std::lock_guard lock(told_mutex_);
                        told_.push_back(std::string(event) + " " + std::string(members));
                      },
                      !lossless,
                      false,
                      {}});
  }

  const std::uint8_t* memory() const { return reinterpret_cast<const std::uint8_t*>(frames_.memory.data()); }

  // `deadly`: the plugin finds one packet on queue 9; what it dies of must not be met by the dry run.
  void run(double now_ns, bool deadly = false) {
    decode_batch(
        kBatch, memory(),
        [&](std::uint32_t i) {
          return FrameSpan{frames_.offsets[i], frames_.lengths[i]};
        },
        packets_.data());
    const std::uint16_t queue = deadly ? 9 : 0;
    std::memcpy(reinterpret_cast<std::byte*>(&packets_[35]) + offsetof(engine_packet, queue), &queue, sizeof queue);
    slot_->run(kBatch, now_ns);
  }

  // Names of the events that the slot has put into the outbox since the last call.
  std::vector<std::string> events() {
    std::vector<std::string> names;
    for (std::uint32_t at = 0; at < outbox_.used;) {
      engine_message head;
      std::memcpy(&head, memory_.data() + at, sizeof head);
      std::uint16_t length = 0;
      std::memcpy(&length, memory_.data() + at + sizeof head, sizeof length);
      if (head.kind == ENGINE_MESSAGE_EVENT)
        names.emplace_back(reinterpret_cast<const char*>(memory_.data()) + at + sizeof head + sizeof length, length);
      if (head.kind == ENGINE_MESSAGE_RECORD) ++records_;
      at += head.length;
    }
    outbox_.used = 0;
    return names;
  }

  // Packets in the plugin's counter "seen" by protocol.
  std::uint64_t counted(std::size_t number = 0) {
    struct Sum final : plugins::Visitor {
      std::uint64_t packets = 0;
      void unsigned_number(std::string_view name, std::uint64_t value) override {
        if (name == "packets") packets += value;
      }
      void signed_number(std::string_view, std::int64_t) override {}
      void real(std::string_view, double) override {}
      void boolean(std::string_view, bool) override {}
      void text(std::string_view, std::string_view) override {}
      void address(std::string_view, const engine_addr&) override {}
      void begin_list(std::string_view) override {}
      void end_list() override {}
      void begin_item() override {}
      void end_item() override {}
    } sum;
    slot_->structures().all()[number]->active().publish(sum);
    return sum.packets;
  }

  // Writes the file anew, asks for a reload, and runs batches until it has come in or has been refused.
  void reload(const std::string& code, const char* outcome) {
    workshop_->reload({spec(code)});
    for (int i = 0; i < 5000; ++i) {
      run(kSecond_ns);
      ++batches_of_reload_;
      for (const std::string& name : events())
        if (name == outcome) return;
      const std::lock_guard lock(told_mutex_);
      for (const std::string& line : told_)
        if (line.starts_with(outcome)) return;
      std::this_thread::yield();
      usleep(1000);
    }
    FAIL() << "no " << outcome;
  }

  gen::FrameSet frames_;
  std::vector<engine_packet> packets_;
  std::vector<std::uint8_t> memory_;
  engine_outbox outbox_{};
  cli::Log log_;
  std::filesystem::path path_;
  std::unique_ptr<Workshop> workshop_;
  std::unique_ptr<PluginSlot> slot_;
  std::mutex told_mutex_;
  std::vector<std::string> told_;
  int records_ = 0;
  int batches_of_reload_ = 0;
};

using Names = std::vector<std::string>;

constexpr char kDies[] = R"(
  local c = engine.counter{ name = "seen", key = "proto" }
  function on_packet(p)
    c:add(p)
    if p.queue == 9 then local t = {} while true do t[#t + 1] = { p.len } end end
  end)";

TEST_F(PluginSlotTest, GoesOnBehindThePacketThatKilledAStateWithTheSameStructures) {
  load(kDies);
  run(0, true);
  run(1e6);
  EXPECT_EQ(events(), (Names{"plugin_cut_off", "plugin_restarted"}));
  EXPECT_EQ(counted(), 2 * kBatch) << "the packet it died of was counted before it died";
  EXPECT_EQ(slot_->figures().cutoffs, 1u);
  EXPECT_EQ(slot_->figures().missed, 0u) << "on files the worker waits for a spare";
  EXPECT_EQ(slot_->figures().packets, 2 * kBatch);
  EXPECT_EQ(slot_->figures().condition, "running");
}

TEST_F(PluginSlotTest, LiveItDoesNotWaitAndCountsWhatItMissed) {
  load(kDies, false);
  run(0, true);
  run(1e6);  // whether the first spare is ready by then is a matter of timing
  std::uint32_t batches = 2;
  for (; slot_->figures().condition != "running"; ++batches) {
    ASSERT_LT(batches, 5000u);
    run(batches * 1e6);
    usleep(1000);
  }
  EXPECT_EQ(slot_->figures().cutoffs, 1u);
  EXPECT_EQ(slot_->figures().packets, counted());
  EXPECT_EQ(counted() + slot_->figures().missed, batches * kBatch);
}

TEST_F(PluginSlotTest, ThreeDeathsWithinAMinuteAreAQuarantineThatDoubles) {
  load(kDies);
  run(0, true);
  run(20 * kSecond_ns, true);
  EXPECT_EQ(slot_->figures().condition, "running");
  run(59 * kSecond_ns, true);
  EXPECT_EQ(slot_->figures().condition, "quarantined");
  events();
  EXPECT_EQ(slot_->figures().missed, 28u) << "what came in the batch behind the packet it died of";
  run(118 * kSecond_ns, true);
  EXPECT_EQ(slot_->figures().missed, 28u + kBatch);
  EXPECT_TRUE(events().empty());
  // Again: two more deaths within the minute of the third.
  run(119 * kSecond_ns, true);
  EXPECT_EQ(events(), (Names{"plugin_retried", "plugin_restarted", "plugin_cut_off", "plugin_restarted"}));
  run(120 * kSecond_ns, true);
  run(121 * kSecond_ns, true);
  EXPECT_EQ(slot_->figures().condition, "quarantined");
  run(121 * kSecond_ns + 119 * kSecond_ns);
  EXPECT_EQ(slot_->figures().condition, "quarantined") << "two minutes this time";
  run(121 * kSecond_ns + 121 * kSecond_ns);
  EXPECT_EQ(slot_->figures().condition, "running");
}

TEST_F(PluginSlotTest, DeathsThatAreFarApartAreNone) {
  load(kDies);
  for (int i = 0; i < 5; ++i) run(i * 31 * kSecond_ns, true);
  EXPECT_EQ(slot_->figures().cutoffs, 5u);
  EXPECT_EQ(slot_->figures().condition, "running");
}

TEST_F(PluginSlotTest, ErrorsInFewPacketsOfManySwitchNothingOff) {
  load("local n = 0 function on_packet(p) n = n + 1 if n % 128 == 0 then error('bad') end end");
  for (int i = 0; i < 1000; ++i) run(i * 1e6);
  EXPECT_EQ(slot_->figures().errors, 500u);
  EXPECT_EQ(slot_->figures().condition, "running");
}

TEST_F(PluginSlotTest, ErrorsInManyPacketsAreAQuarantineAndTheStateComesBack) {
  load("local n = 0 function on_packet(p) n = n + 1 if n % 50 == 0 then error('bad') end end");
  for (int i = 0; i < 200; ++i) run(i * 1e6);
  EXPECT_EQ(slot_->figures().condition, "quarantined");
  EXPECT_EQ(slot_->figures().errors, 101u);
  const std::uint64_t seen = slot_->figures().packets;
  run(70 * kSecond_ns);
  EXPECT_EQ(slot_->figures().condition, "running");
  EXPECT_EQ(slot_->figures().packets, seen + kBatch);
  EXPECT_EQ(slot_->figures().cutoffs, 0u) << "the state is the same";
}

constexpr char kSaves[] = R"(
  local c = engine.counter{ name = "seen", key = "proto" }
  local r = engine.record{ name = "start", { "total", "u64" }, { "word", "string", optional = true } }
  local total, word = 0, nil
  function on_start(info)
    if info.saved then total, word = info.saved.total, info.saved.list[2].word end
    if total > 0 then r:emit(total, word) end
  end
  function on_packet(p) c:add(p) total = total + 1 end
  function on_save() return { total = total, list = { true, { word = "kept" } } } end)";

TEST_F(PluginSlotTest, AReloadHandsOverWhatWasSavedAndLosesNoPacketAndNoCount) {
  load(kSaves);
  for (int round = 0; round < 3; ++round)
    reload(std::string(kSaves) + "-- " + std::to_string(round), "plugin_reloaded");
  EXPECT_EQ(slot_->figures().reloads, 3u);
  EXPECT_EQ(slot_->figures().missed, 0u);
  EXPECT_EQ(slot_->figures().errors, 0u);
  EXPECT_EQ(counted(), static_cast<std::uint64_t>(batches_of_reload_) * kBatch);
  EXPECT_EQ(records_, 3) << "each new state found the total of the one before";
}

TEST_F(PluginSlotTest, AReloadThatFailsLeavesTheOldState) {
  const std::string counts =
      "local c = engine.counter{ name = 'seen', key = 'proto' } function on_packet(p) c:add(p) end ";
  load(counts);
  reload("function on_packet(p) syntax", "plugin_reload_failed");
  told_.clear();
  reload("interval = 7 " + counts, "plugin_reload_failed");
  EXPECT_NE(told_.back().find("its interval is another one"), std::string::npos) << told_.back();
  told_.clear();
  reload(counts + "function on_start(info) error('not today') end", "plugin_reload_failed");
  told_.clear();
  reload(counts + "function on_save() return { f = function() end } end", "plugin_reloaded");
  reload(counts + "function on_start(info) end",
         "plugin_reload_failed");  // what the one before saves is no plain value
  EXPECT_EQ(slot_->figures().reloads, 1u);
  EXPECT_EQ(counted(), static_cast<std::uint64_t>(batches_of_reload_) * kBatch);
}

TEST_F(PluginSlotTest, AStructureOfAnotherShapeTakesThePlaceOfTheOldWhichRetires) {
  load("local c = engine.counter{ name = 'seen', key = 'proto' } function on_packet(p) c:add(p) end");
  reload("local c = engine.counter{ name = 'seen', key = { 'proto', 'dst_port' } } function on_packet(p) c:add(p) end",
         "plugin_reloaded");
  ASSERT_EQ(slot_->structures().all().size(), 2u);
  EXPECT_EQ(counted(0) + counted(1), static_cast<std::uint64_t>(batches_of_reload_) * kBatch);
  plugins::Structure& old = *slot_->structures().all()[0];
  EXPECT_EQ(old.handle(), nullptr);
  slot_->tick(2 * kSecond_ns);
  ASSERT_EQ(slot_->structures().all().size(), 2u) << "it still holds what was counted";
  plugins::Part* last = old.swap();
  slot_->tick(3 * kSecond_ns);
  ASSERT_EQ(slot_->structures().all().size(), 2u) << "the collector still has its part";
  old.give_back(last);
  slot_->tick(4 * kSecond_ns);
  EXPECT_EQ(slot_->structures().all().size(), 1u);
}

TEST_F(PluginSlotTest, FlowsOfATableThatRetiresArePublished) {
  load("local f = engine.flows{ name = 'f' } function on_packet(p) f:add(p) end");
  run(0);
  reload("local f = engine.flows{ name = 'f', max = 1000 } function on_packet(p) f:add(p) end", "plugin_reloaded");
  plugins::Structure& old = *slot_->structures().all()[0];
  ASSERT_EQ(old.handle(), nullptr);
  EXPECT_TRUE(old.active().empty());
  slot_->tick(2 * kSecond_ns);
  EXPECT_GT(old.active().lines(), 10u) << "the flows that were open";
}

TEST_F(PluginSlotTest, AReloadEndsAQuarantine) {
  load("local n = 0 function on_packet(p) error('bad') end");
  for (int i = 0; i < 4; ++i) run(i * 1e6);
  ASSERT_EQ(slot_->figures().condition, "quarantined");
  reload("function on_packet(p) end", "plugin_reloaded");
  EXPECT_EQ(slot_->figures().condition, "running");
}

}  // namespace
}  // namespace engine
