#include "engine/bench/memory_stages.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "engine/base/error.h"
#include "engine/bench/memory_queue.h"
#include "engine/clock.h"
#include "engine/results/json_lines.h"
#include "engine/session.h"
#include "engine/worker.h"

namespace engine::bench {
namespace {

constexpr double kPacketInterval_ns = 100;  // by which packets' time goes on
constexpr std::uint32_t kRecord_bytes = 64;
constexpr std::uint32_t kRecords = 4096;

// Of so many flows, in network byte order: 10.0.0.0 and up.
std::vector<std::uint32_t> addresses(std::uint32_t flows) {
  std::vector<std::uint32_t> all(flows);
  constexpr std::uint32_t kNet10 = 10;  // as the address begins in memory
  for (std::uint32_t i = 0; i < flows; ++i)
    all[i] = kNet10 | (i >> 16 & 0xff) << 8 | (i >> 8 & 0xff) << 16 | (i & 0xff) << 24;
  return all;
}

// What the collector does with what a worker leaves in its ring: parts go back. Whether the plugin's last word, if
// there is one, says how many packets it has counted.
void take_messages(SpscRing& ring, std::string* last_line = nullptr) {
  for (auto bytes = ring.readable(); !bytes.empty(); bytes = ring.readable()) {
    engine_message head;
    std::memcpy(&head, bytes.data(), sizeof head);
    const auto payload = bytes.first(head.length).subspan(sizeof head);
    if (head.kind == ENGINE_MESSAGE_PART) {
      engine_part message;
      std::memcpy(&message, payload.data(), sizeof message);
      reinterpret_cast<plugins::Structure*>(message.owner)->give_back(reinterpret_cast<plugins::Part*>(message.part));
    }
    if (head.kind == ENGINE_MESSAGE_JSON && last_line != nullptr)
      last_line->assign(reinterpret_cast<const char*>(payload.data()), payload.size());
    ring.consume(head.length);
  }
}

// Calls on_stop, by which the plugins that we wrote emit what they counted, as "packets":N behind everything else.
std::uint64_t counted_in_lua(Analysis& analysis) {
  take_messages(analysis.ring());
  analysis.stop(wall_ns(), 0);
  std::string line;
  take_messages(analysis.ring(), &line);
  const std::string key = "\"packets\":";
  const std::size_t at = line.find(key);
  return at == std::string::npos ? 0 : std::stoull(line.substr(at + key.size()));
}

// Frames, and what changes in them before a pass.
class Frames {
 public:
  Frames(std::shared_ptr<FrameArea> area, std::uint32_t flows) : area_(std::move(area)), flows_(addresses(flows)) {}
  void renew() noexcept {
    if (!flows_.empty()) area_->rewrite_sources(flows_, next_);
  }
  // Passes until all flows have been seen once, in the order of their addresses. From then on in an order of their own:
  // a table's rows lie in the order in which they were made.
  std::uint64_t warm_passes() const noexcept { return kWarmPasses + flows_.size() / area_->size(); }
  void mix() noexcept { std::shuffle(flows_.begin(), flows_.end(), std::mt19937(1)); }
  const FrameArea& operator*() const noexcept { return *area_; }
  const FrameArea* operator->() const noexcept { return area_.get(); }

 private:
  std::shared_ptr<FrameArea> area_;
  std::vector<std::uint32_t> flows_;
  std::size_t next_ = 0;
};

class Touch final : public Stage {
 public:
  Touch(std::shared_ptr<FrameArea> area, std::uint32_t flows) : frames_(std::move(area), flows) {}
  std::uint64_t pass() override {
    frames_.renew();
    const std::uint8_t* base = frames_->base();
    std::uint64_t sum = 0;
    for (const FrameSpan& frame : frames_->order()) {
      std::uint64_t word;
      std::memcpy(&word, base + frame.offset, sizeof word);
      sum += word;
    }
    sum_ = sum;  // volatile: or the loop would be for nothing
    touched_ += frames_->size();
    return frames_->size();
  }
  std::uint64_t warm_passes() const override { return frames_.warm_passes(); }
  void warmed() override { frames_.mix(); }
  std::uint64_t counted() override { return touched_; }

 private:
  Frames frames_;
  volatile std::uint64_t sum_ = 0;
  std::uint64_t touched_ = 0;
};

void decode(const FrameArea& area, std::uint32_t first, std::uint32_t count, double time,
            engine_packet* packets) noexcept {
  const FrameSpan* spans = area.order().data() + first;
  decode_batch(count, area.base(), [spans](std::uint32_t i) -> const FrameSpan& { return spans[i]; }, packets, {time});
}

class Decode final : public Stage {
 public:
  Decode(std::shared_ptr<FrameArea> area, std::uint32_t batch) : area_(std::move(area)), batch_(batch) {}
  std::uint64_t pass() override {
    for (std::uint32_t first = 0; first < area_->size(); first += batch_)
      decode(*area_, first, std::min(batch_, area_->size() - first), 0, packets_.data());
    return area_->size();
  }
  // Once a pass: what the last batch left there is looked at.
  void between() override {
    const std::uint32_t last = (area_->size() - 1) % batch_;
    if (packets_[last].eth_type != 0 && packets_[last].caplen == area_->order().back().caplen)
      decoded_ += area_->size();
    packets_[last] = {};
  }
  std::uint64_t counted() override { return decoded_; }

 private:
  std::shared_ptr<FrameArea> area_;
  std::uint32_t batch_;
  std::uint64_t decoded_ = 0;
  std::vector<engine_packet> packets_ = std::vector<engine_packet>(kMaxBatchPackets);
};

// A machine that is busy with others' work must not cut a plugin off: what it counted would be gone, and with it the
// measurement.
constexpr std::uint32_t kDeadline_ms = 60'000;

cli::Settings settings_of(cli::PluginSetting plugin) {
  cli::Settings settings;
  plugin.deadline_ms = kDeadline_ms;
  settings.plugins.push_back(std::move(plugin));
  return settings;
}

// Ours say themselves what they counted; of others it is known what they were offered, and that they raised no error.
class Plugin final : public Stage {
 public:
  Plugin(std::shared_ptr<FrameArea> area, std::uint32_t batch, cli::PluginSetting plugin, std::uint32_t flows)
      : frames_(std::move(area), flows),
        batch_(batch),
        ours_(plugin.path.empty()),
        plugins_(settings_of(std::move(plugin)), 1) {
    plugins_.load({"bench", {0}, -1, -1}, 0, analysis_);
    analysis_.begin(frames_->base(), 1);
    analysis_.touch();
  }
  std::uint64_t pass() override {
    frames_.renew();
    engine_packet* packets = analysis_.packets();
    for (std::uint32_t first = 0; first < frames_->size(); first += batch_) {
      const std::uint32_t count = std::min(batch_, frames_->size() - first);
      decode(*frames_, first, count, now_ns_ += count * kPacketInterval_ns, packets);
      analysis_.run(count);
    }
    return frames_->size();
  }
  void between() override { take_messages(analysis_.ring()); }
  std::uint64_t warm_passes() const override { return frames_.warm_passes(); }
  void warmed() override { frames_.mix(); }
  std::uint64_t counted() override {
    if (analysis_.plugin_errors() != 0 || analysis_.results_dropped() != 0) return 0;
    if (ours_) return counted_in_lua(analysis_);
    const auto& slot = *analysis_.slots().front();
    return slot.figures.packets + slot.figures.filtered - slot.service->figures().missed;
  }

 private:
  Frames frames_;
  std::uint32_t batch_;
  bool ours_;
  double now_ns_ = 0;
  Analysis analysis_{{.make_room = {}, .epoch_ns = 1}};
  PluginSet plugins_;
};

class WholeWorker final : public Stage {
 public:
  WholeWorker(const gen::TrafficSpec& traffic, std::uint32_t frames, std::uint32_t queues)
      : area_(traffic, frames), plugins_(settings_of(count_plugin()), 1) {
    std::vector<Lane*> lanes;
    const std::uint32_t each = frames / queues;
    for (std::uint32_t i = 0; i < queues; ++i) {
      queues_.push_back(std::make_unique<MemoryQueue>(area_, xsk::FrameRange{i * each, each}, i));
      lanes_.push_back(std::make_unique<Lane>());
      lanes_.back()->queue = &queues_.back()->queue();
      lanes_.back()->index = static_cast<std::uint16_t>(i);
      lanes.push_back(lanes_.back().get());
    }
    plugins_.load({"bench", {0}, -1, -1}, 0, analysis_);
    analysis_.begin(area_.base(), wall_ns());
    worker_ = std::make_unique<Worker>(std::move(lanes), analysis_, control_, area_.base(), Idling{.spin = true});
    deliver();
  }
  std::uint64_t pass() override {
    std::uint64_t packets = 0;
    while (const std::uint32_t received = worker_->serve_all()) packets += received;
    return packets;
  }
  void between() override {
    take_messages(analysis_.ring());
    deliver();
  }
  std::uint64_t counted() override { return counted_in_lua(analysis_); }

 private:
  void deliver() noexcept {
    for (auto& queue : queues_) queue->deliver();
  }

  FrameArea area_;
  std::vector<std::unique_ptr<MemoryQueue>> queues_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  RunControl control_;
  Analysis analysis_{{.make_room = {}, .epoch_ns = 1}};
  PluginSet plugins_;
  std::unique_ptr<Worker> worker_;
};

class Queue final : public Stage {
 public:
  explicit Queue(std::uint32_t batch) : batch_(batch) {}
  std::uint64_t pass() override {
    std::array<std::uint32_t, kRecord_bytes / 4> record{kRecord_bytes};
    for (std::uint32_t first = 0; first < kRecords; first += batch_) {
      const std::uint32_t count = std::min(batch_, kRecords - first);
      for (std::uint32_t i = 0; i < count; ++i) {
        record[1] = i;
        ring_.push(std::as_bytes(std::span(record)));
      }
      ring_.publish();
      for (auto bytes = ring_.readable(); !bytes.empty(); bytes = ring_.readable()) {
        std::uint32_t length;
        std::memcpy(&length, bytes.data(), sizeof length);
        ring_.consume(length);
        ++taken_;
      }
    }
    return kRecords;
  }
  std::uint64_t counted() override { return taken_; }

 private:
  std::uint32_t batch_;
  SpscRing ring_{512u << 10};
  std::uint64_t taken_ = 0;
};

// A flow's end points and two counts, as an analyzer's record has them.
class Json final : public Stage {
 public:
  Json() : lines_(std::make_unique<Sink>("/dev/null", Sink::WhenFull::wait)) {
    const auto append = [this](const auto& value) {
      const auto bytes = std::as_bytes(std::span(&value, 1));
      values_.insert(values_.end(), bytes.begin(), bytes.end());
    };
    append(engine_addr{0, 0x0100000affff0000});
    append(engine_addr{0, 0x010012c6ffff0000});
    append(std::uint16_t{40000});
    append(std::uint16_t{443});
    append(std::uint64_t{17});
    append(std::uint64_t{18'000});
  }
  std::uint64_t pass() override {
    for (std::uint32_t i = 0; i < kRecords; ++i)
      lines_.record(kFirst_ns + i * 1000, kFirst_ns, "bench", schema_, values_);
    lines_.flush();
    return kRecords;
  }
  std::uint64_t counted() override { return lines_.ledger().lines; }

 private:
  static constexpr std::uint64_t kFirst_ns = 1'700'000'000'000'000'000;
  using enum plugins::FieldType;
  plugins::RecordSchema schema_{
      "flow", {{"src", ip}, {"dst", ip}, {"src_port", u16}, {"dst_port", u16}, {"packets", u64}, {"bytes", u64}}};
  std::vector<std::byte> values_;
  JsonLines lines_;
};

constexpr const char* kCount = R"(
local packets = {}
for proto = 0, 255 do packets[proto] = 0 end
local flows = args.flows and engine.flows { name = "flows", max = args.flows, idle = 86400, active = 604800 }
local seen = args.records and engine.record { name = "seen", { "src", "ip" }, { "dst", "ip" }, { "len", "u32" } }
function on_packet(p)
  local proto = p.proto
  packets[proto] = packets[proto] + 1
  BODY
end
function on_stop()
  local sum = 0
  for proto = 0, 255 do sum = sum + packets[proto] end
  if flows and flows:count() ~= args.flows then error("flows: " .. flows:count()) end
  engine.emit("count", { packets = sum })
end
)";

cli::PluginSetting plugin_with(std::string_view body, cli::Arguments args) {
  std::string code = kCount;
  const std::string_view place = "BODY";
  code.replace(code.find(place), place.size(), body);
  return {.path = {}, .code = std::move(code), .name = "bench", .args = std::move(args)};
}

}  // namespace

std::unique_ptr<Stage> touch_stage(std::shared_ptr<FrameArea> area, std::uint32_t flows) {
  return std::make_unique<Touch>(std::move(area), flows);
}
std::unique_ptr<Stage> decode_stage(std::shared_ptr<FrameArea> area, std::uint32_t batch) {
  return std::make_unique<Decode>(std::move(area), batch);
}
std::unique_ptr<Stage> plugin_stage(std::shared_ptr<FrameArea> area, std::uint32_t batch, cli::PluginSetting plugin,
                                    std::uint32_t flows) {
  return std::make_unique<Plugin>(std::move(area), batch, std::move(plugin), flows);
}
cli::PluginSetting count_plugin() { return plugin_with("", {}); }
cli::PluginSetting flow_plugin(std::uint32_t flows) {
  return plugin_with("flows:add(p)", {{"flows", static_cast<double>(flows)}});
}
cli::PluginSetting record_plugin() { return plugin_with("seen:emit(p.src, p.dst, p.len)", {{"records", true}}); }

std::unique_ptr<Stage> worker_stage(const gen::TrafficSpec& traffic, std::uint32_t frames, std::uint32_t queues) {
  return std::make_unique<WholeWorker>(traffic, frames, queues);
}
std::unique_ptr<Stage> queue_stage(std::uint32_t batch) { return std::make_unique<Queue>(batch); }
std::unique_ptr<Stage> json_stage() { return std::make_unique<Json>(); }

}  // namespace engine::bench
