// Every script of tests/hostile between two innocent plugins on one worker: what those publish must be, byte by byte,
// what they publish beside a plugin that does nothing; the script must have tried, must have got nothing, and must end
// as its second line says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/analysis.h"
#include "engine/base/error.h"
#include "engine/decode/decode.h"
#include "engine/gen/traffic.h"
#include "tests/plugins/published.h"

namespace engine {
namespace {

namespace fs = std::filesystem;

using Lines = std::vector<std::string>;

constexpr std::uint64_t kSecond_ns = 1'000'000'000;
constexpr std::uint64_t kEpoch_ns = 1'700'000'000 * kSecond_ns;
constexpr std::uint32_t kBatches = 40;
constexpr std::uint32_t kBatchesPerTick = 10;
// One packet of this batch comes from queue 9: for what a dry run must not meet.
constexpr std::uint32_t kDeadlyBatch = 7;

constexpr char kInnocent[] = R"(
local counted = engine.counter { name = "counted", key = { "proto", "dst_port" } }
local top = engine.topk { name = "top", k = 5 }
local sources = engine.distinct { name = "sources", key = "src" }
local sizes = engine.histogram { name = "sizes" }
local fast = engine.rate { name = "fast", key = "dst_port", above = 1, on_above = function(port, rate)
  engine.emit("above", { port = port, rate = rate })
end }
local seen = engine.set { key = "src", ttl = 3600 }
local totals = engine.map { key = "src", fields = { { "packets", "u64" }, { "last", "string", 16 } } }
local first = engine.record { name = "first", { "src", "ip" }, { "number", "u32" }, { "text", "string" } }
local names, lan = {}, net"10.0.0.0/8"
function on_packet(p)
  counted:add(p)
  sources:add(p)
  sizes:add(p.len)
  fast:add(p)
  local entry = totals:put(p)
  entry.packets = entry.packets + 1
  entry.last = p:payload()
  if seen:add(p) then first:emit(p.src, math.random(1000000), ("%s %s"):format(p.src:in_net(lan), tostring(p.src))) end
  local q = dns.parse(p)
  if q and q.qname then
    top:add(q.qname)
    names[q.qname] = (names[q.qname] or 0) + 1
  end
end
function on_tick(now)
  engine.emit("names", names)
  engine.emit("entries", { count = totals:count(), now = now, date = engine.date(now) })
end
function on_stop() engine.log("info", "%d", seen:count()) end
)";
constexpr char kIdle[] = "function on_packet(p) end";

// What the three plugins of a run said, and how the one in the middle ended.
struct Outcome {
  std::string refusal;                  // the middle one did not load
  Lines innocent;                       // all that the others said, in order
  std::map<std::string, Lines> middle;  // its own emits by name
  Lines errors;                         // its own
  PluginSlot::Figures figures;
};

class Trio {
 public:
  explicit Trio(const plugins::PluginSpec& middle) : log_(cli::LogLevel::error, -1), frames_(gen::builtin_frames(64)) {
    AnalysisConfig config;
    config.lossless = true;
    config.epoch_ns = kEpoch_ns;
    config.make_room = [this] {
      take();
      return true;
    };
    analysis_ = std::make_unique<Analysis>(config);
    plugins::PluginSpec before, after;
    before.name = "before";
    after.name = "after";
    before.code = after.code = kInnocent;
    // Nothing they do may depend on how slow the machine is, with its sanitizers and its other users.
    before.deadline_ns = after.deadline_ns = 600 * kSecond_ns;
    workshop_ = std::make_unique<Workshop>(std::vector{before, middle, after}, 1, Workshop::Source{});
  }
  ~Trio() { workshop_->stop(); }

  Outcome go() {
    for (std::size_t i = 0; i < 3; ++i) {
      try {
        workshop_->add_slot(i, analysis_->add_plugin(*workshop_, i, {}, nullptr));
      } catch (const SetupError& error) {
        if (i != 1) throw;
        outcome_.refusal = error.what();
        return outcome_;
      }
    }
    workshop_->start({log_, [](std::string_view, std::string_view) {}, false, false});
    analysis_->begin(reinterpret_cast<const std::uint8_t*>(frames_.memory.data()), kEpoch_ns);
    for (std::uint32_t i = 0; i < kBatches; ++i) {
      batch(i);
      if ((i + 1) % kBatchesPerTick == 0) tick((i + 1) / kBatchesPerTick);
    }
    analysis_->stop(kEpoch_ns + 10 * kSecond_ns, kBatches * 64 + 1);
    take();
    outcome_.figures = analysis_->slots()[1]->service->figures();
    return outcome_;
  }

 private:
  void batch(std::uint32_t number) {
    engine_packet* packets = analysis_->packets();
    decode_batch(
        64, reinterpret_cast<const std::uint8_t*>(frames_.memory.data()),
        [&](std::uint32_t i) {
          return FrameSpan{frames_.offsets[i], frames_.lengths[i]};
        },
        packets);
    for (std::uint32_t i = 0; i < 64; ++i) {
      packets[i].time = (number * 64.0 + i) * 1e6;
      packets[i]._place = number * 64 + i + 1;
    }
    if (number == kDeadlyBatch) packets[35].queue = 9;
    analysis_->run(64);
  }

  void tick(std::uint32_t number) {
    for (const std::uint64_t interval_ns : analysis_->intervals_ns())
      analysis_->end_interval(interval_ns, number, kEpoch_ns + number * kSecond_ns,
                              number * kBatchesPerTick * 64 + 0.5);
    take();
  }

  // The collector's end of the ring.
  void take() {
    for (auto bytes = analysis_->ring().readable(); !bytes.empty(); bytes = analysis_->ring().readable()) {
      engine_message head;
      std::memcpy(&head, bytes.data(), sizeof head);
      const auto body = bytes.subspan(sizeof head, head.length - sizeof head);
      std::string text(reinterpret_cast<const char*>(body.data()), body.size());
      if (head.kind == ENGINE_MESSAGE_PART) {
        text = part(text);
      }
      if (head.plugin != 1) {
        outcome_.innocent.push_back(std::to_string(head.plugin) + " " + std::to_string(head.kind) + " " +
                                    std::to_string(head.schema) + " " + std::to_string(head.time) + " " +
                                    std::to_string(head.place) + " " + text);
      } else if (head.kind == ENGINE_MESSAGE_JSON && text.size() > 2) {
        const std::size_t name_bytes = static_cast<std::uint8_t>(text[0]);
        outcome_.middle[text.substr(2, name_bytes)].push_back(text.substr(2 + name_bytes).c_str());
      } else if (head.kind == ENGINE_MESSAGE_ERROR) {
        outcome_.errors.push_back(text.c_str());
      }
      analysis_->ring().consume(head.length);
    }
  }

  static std::string part(const std::string& body) {
    engine_part message;
    std::memcpy(&message, body.data(), sizeof message);
    auto& part = *reinterpret_cast<plugins::Part*>(message.part);
    std::string text;
    for (const std::string& line : published::published_by(part)) text += line + "\n";
    part.clear();
    reinterpret_cast<plugins::Structure*>(message.owner)->give_back(&part);
    return text;
  }

  cli::Log log_;
  gen::FrameSet frames_;
  std::unique_ptr<Workshop> workshop_;
  std::unique_ptr<Analysis> analysis_;
  Outcome outcome_;
};

plugins::PluginSpec middle_spec() {
  plugins::PluginSpec spec;
  spec.name = "middle";
  spec.memory_bytes = 16u << 20;
  return spec;
}

const Lines& alone() {
  static const Lines said = [] {
    plugins::PluginSpec spec = middle_spec();
    spec.code = kIdle;
    return Trio(spec).go().innocent;
  }();
  return said;
}

Lines scripts() {
  Lines names;
  for (const fs::directory_entry& file : fs::directory_iterator(HOSTILE_SCRIPTS)) {
    if (file.path().stem() != "probe" && file.path().stem() != "compiled") names.push_back(file.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Hostile : public ::testing::TestWithParam<std::string> {};

TEST_P(Hostile, GetsNothingAndChangesNothing) {
  plugins::PluginSpec spec = middle_spec();
  spec.path = std::string(HOSTILE_SCRIPTS) + "/" + GetParam() + ".lua";
  std::ifstream file(spec.path);
  std::string what, ends;
  std::getline(file, what);
  std::getline(file, ends);
  ASSERT_TRUE(ends.starts_with("-- ends: ")) << ends;
  ends = ends.substr(9);
  // What is to be cut off is; the others may take their time, also where everything is slow.
  spec.deadline_ns = ends == "died" || ends.find("deadline") != std::string::npos ? 20'000'000 : 600 * kSecond_ns;
  const Outcome outcome = Trio(spec).go();
  if (ends.starts_with("refused: ")) {
    EXPECT_NE(outcome.refusal.find(ends.substr(9)), std::string::npos) << "it says: " << outcome.refusal;
    return;
  }
  ASSERT_EQ(outcome.refusal, "");
  // One by one: the whole would be unreadable.
  ASSERT_EQ(outcome.innocent.size(), alone().size());
  for (std::size_t i = 0; i < alone().size(); ++i) ASSERT_EQ(outcome.innocent[i], alone()[i]);
  const auto said = [&](const char* name) {
    const auto found = outcome.middle.find(name);
    return found == outcome.middle.end() ? Lines{} : found->second;
  };
  EXPECT_EQ(said("got"), Lines{}) << what;
  const std::string first_error = outcome.errors.empty() ? "none" : outcome.errors[0];
  if (ends == "died") {
    EXPECT_GE(outcome.figures.cutoffs, 1u) << first_error;
    return;
  }
  EXPECT_EQ(outcome.figures.condition, ends) << first_error;
  EXPECT_EQ(outcome.figures.cutoffs, 0u) << first_error;
  EXPECT_TRUE(ends == "quarantined" || !said("tried").empty()) << first_error;
}

INSTANTIATE_TEST_SUITE_P(Scripts, Hostile, ::testing::ValuesIn(scripts()),
                         [](const auto& script) { return script.param; });

TEST(HostileScripts, AreAtLeastForty) {
  EXPECT_GE(scripts().size(), 40u);
  EXPECT_GT(alone().size(), 100u) << "and there is something to compare with";
}

}  // namespace
}  // namespace engine
