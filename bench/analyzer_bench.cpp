// What Lua costs: shipped analyzers against the same in C++, over the whole in-memory path: decode, filter, analyzer,
// result queue. Both sides see the same frames in the same order, take turns within one process, and must give the same
// results: structures and records are compared before anything is timed.
//
// run, from the top folder: build/bench/analyzer_bench [FOLDER OF EXAMPLES [EXAMPLE]]
//
// A pass is all frames once, in batches of 64. A round is kTurns passes of each side in turn; its ratio is that of the
// sums of CPU time, so garbage collection counts as well. Shown are the median and the worst of the rounds.
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <string>

#include "bench/analyzer_traffic.h"
#include "bench/analyzers.h"
#include "bpf/filter.h"
#include "engine/base/error.h"
#include "engine/packet_filter.h"
#include "engine/session.h"
#include "tests/plugins/published.h"

namespace {

using bench::kBatch, bench::kFrames, bench::Mix;

constexpr int kWarmPasses = 30, kRounds = 25, kTurns = 24;
// Of traffic as networks have it, and of the worst: nothing but what the analyzer takes apart.
constexpr double kLimit = 1.25, kWorstLimit = 1.6;

std::uint64_t cpu_ns() noexcept {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// Time goes on by 100 ns a packet, on both sides alike.
class Clock {
 public:
  void stamp(engine_packet* packets) noexcept {
    for (std::uint32_t i = 0; i < kBatch; ++i) packets[i].time = now_ns_ += 100;
  }

 private:
  double now_ns_ = 0;
};

void decode(const bench::Frames& frames, std::uint32_t first, engine_packet* packets, Clock& clock) noexcept {
  const engine::FrameSpan* spans = frames.order.data() + first;
  engine::decode_batch(
      kBatch, frames.memory.get(), [spans](std::uint32_t i) { return spans[i]; }, packets);
  clock.stamp(packets);
}

// The results in the queue, as the collector would find them; a warning that a batch was slow is none.
std::string drain(engine::SpscRing& ring) {
  std::string all;
  for (auto bytes = ring.readable(); !bytes.empty(); bytes = ring.readable()) {
    engine_message head;
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.kind != ENGINE_MESSAGE_LOG) all.append(reinterpret_cast<const char*>(bytes.data()), head.length);
    ring.consume(head.length);
  }
  return all;
}

class LuaSide {
 public:
  LuaSide(const std::string& path, const bench::Frames& frames) : frames_(frames), plugins_(settings(path), 1) {
    plugins_.load({"bench", {0}, -1, -1}, 0, analysis_);
    analysis_.begin(frames.memory.get(), 1);
    drain(analysis_.ring());
  }
  void pass() noexcept {
    for (std::uint32_t first = 0; first < kFrames; first += kBatch) {
      decode(frames_, first, analysis_.packets(), clock_);
      analysis_.run(kBatch);
    }
  }
  engine::SpscRing& ring() noexcept { return analysis_.ring(); }
  engine::PluginSlot& slot() { return *analysis_.slots()[0]->service; }
  std::vector<const plugins::Part*> parts() {
    std::vector<const plugins::Part*> all;
    for (const auto& structure : slot().structures().all()) all.push_back(&structure->active());
    return all;
  }
  std::uint64_t lost() const { return analysis_.results_dropped() + analysis_.plugin_errors(); }

 private:
  static engine::cli::Settings settings(const std::string& path) {
    engine::cli::Settings settings;
    settings.plugins.push_back({.path = path, .code = {}, .name = "bench", .args = {}});
    settings.plugins.back().deadline_ms = 60'000;  // a machine that stands still must not cut it off
    return settings;
  }
  const bench::Frames& frames_;
  engine::Analysis analysis_{{.make_room = {}, .epoch_ns = 1}};
  engine::PluginSet plugins_;
  Clock clock_;
};

class NativeSide {
 public:
  NativeSide(std::unique_ptr<bench::Analyzer> analyzer, std::vector<sock_filter> filter, const bench::Frames& frames)
      : frames_(frames), analyzer_(std::move(analyzer)), filter_(std::move(filter)) {}
  void pass() noexcept {
    for (std::uint32_t first = 0; first < kFrames; first += kBatch) {
      decode(frames_, first, packets_.data(), clock_);
      run();
    }
  }
  engine::SpscRing& ring() noexcept { return ring_; }
  std::vector<const plugins::Part*> parts() const { return analyzer_->parts(); }

 private:
  void run() noexcept {
    const std::span<std::byte> window = ring_.window(1024);
    engine_outbox outbox{reinterpret_cast<std::uint8_t*>(window.data()), 0, static_cast<std::uint32_t>(window.size()),
                         0, 0};
    const std::uint32_t count =
        filter_.empty() ? kBatch
                        : engine::select_packets(filter_, packets_.data(), kBatch, frames_.memory.get(), index_.data());
    if (count > 0)
      analyzer_->run(
          {packets_.data(), filter_.empty() ? nullptr : index_.data(), count, frames_.memory.get(), &outbox});
    ring_.advance(outbox.used);
    ring_.publish();
  }

  const bench::Frames& frames_;
  std::unique_ptr<bench::Analyzer> analyzer_;
  std::vector<sock_filter> filter_;
  engine::SpscRing ring_{512u << 10};
  Clock clock_;
  std::array<std::uint16_t, kBatch> index_;
  alignas(64) std::array<engine_packet, kBatch> packets_;
};

// What is not the same after a pass of each; empty: nothing.
std::string difference(LuaSide& lua, NativeSide& native) {
  lua.pass();
  native.pass();
  if (drain(lua.ring()) != drain(native.ring())) return "records";
  const auto left = lua.parts(), right = native.parts();
  if (left.size() != right.size()) return "number of structures";
  for (std::size_t i = 0; i < left.size(); ++i) {
    const auto by_lua = published::published_by(*left[i]), by_native = published::published_by(*right[i]);
    if (by_lua.size() != by_native.size()) return left[i]->shape();
    for (std::size_t line = 0; line < by_lua.size(); ++line)
      if (by_lua[line] != by_native[line])
        return left[i]->shape() + ": " + by_lua[line] + ", in C++ " + by_native[line];
  }
  return {};
}

struct Figures {
  double lua_ns = 0;  // a packet
  double native_ns = 0;
  double median = 0;  // of the rounds' ratios
  double worst = 0;
};

template <typename Side>
std::uint64_t timed_pass(Side& side) {
  const std::uint64_t begin_ns = cpu_ns();
  side.pass();
  const std::uint64_t took_ns = cpu_ns() - begin_ns;
  drain(side.ring());
  return took_ns;
}

double median_of(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

Figures measure(LuaSide& lua, NativeSide& native) {
  for (int i = 0; i < kWarmPasses; ++i) {
    timed_pass(lua);
    timed_pass(native);
  }
  std::vector<double> lua_ns, native_ns, ratios;
  for (int round = 0; round < kRounds; ++round) {
    std::uint64_t lua_sum_ns = 0, native_sum_ns = 0;
    for (int turn = 0; turn < kTurns; ++turn) {
      native_sum_ns += timed_pass(native);
      lua_sum_ns += timed_pass(lua);
    }
    lua_ns.push_back(static_cast<double>(lua_sum_ns) / kTurns / kFrames);
    native_ns.push_back(static_cast<double>(native_sum_ns) / kTurns / kFrames);
    ratios.push_back(lua_ns.back() / native_ns.back());
  }
  return {median_of(lua_ns), median_of(native_ns), median_of(ratios), *std::max_element(ratios.begin(), ratios.end())};
}

template <typename Kind>
std::unique_ptr<bench::Analyzer> make() {
  return std::make_unique<Kind>();
}

struct Case {
  const char* example;
  Mix mix;
  const char* traffic;
  std::unique_ptr<bench::Analyzer> (*make)();
};
constexpr Case kCases[] = {
    {"protocols", Mix::mixed, "mixed", make<bench::Protocols>},
    {"top_talkers", Mix::mixed, "mixed", make<bench::TopTalkers>},
    {"port_scan", Mix::mixed, "mixed", make<bench::PortScan>},
    {"port_scan", Mix::syn, "SYNs only", make<bench::PortScan>},
    {"flows", Mix::mixed, "mixed", make<bench::Flows>},
    {"tcp_rtt", Mix::mixed, "mixed", make<bench::TcpRtt>},
    {"dns_names", Mix::mixed, "mixed", make<bench::DnsNames>},
    {"dns_names", Mix::dns, "DNS only", make<bench::DnsNames>},
    {"tls_sni", Mix::mixed, "mixed", make<bench::TlsSni>},
    {"tls_sni", Mix::tls, "hellos only", make<bench::TlsSni>},
};

// Whether it is as fast as it has to be.
bool run(const Case& given, const std::string& folder) {
  const bench::Frames frames(given.mix);
  LuaSide lua(folder + "/" + given.example + ".lua", frames);
  NativeSide native(given.make(), lua.slot().filter(), frames);
  if (const std::string different = difference(lua, native); !different.empty()) {
    std::printf("%-12s %-12s the results differ: %s\n", given.example, given.traffic, different.c_str());
    return false;
  }
  const Figures figures = measure(lua, native);
  if (lua.lost() != 0) {
    std::printf("%-12s %-12s the plugin failed, or results were lost\n", given.example, given.traffic);
    return false;
  }
  const double limit = given.mix == Mix::mixed ? kLimit : kWorstLimit;
  const bool good = figures.median <= limit && figures.worst <= kWorstLimit;
  std::printf("%-12s %-12s %8.1f %8.1f %8.2f %8.2f %8.2f  %s\n", given.example, given.traffic, figures.native_ns,
              figures.lua_ns, figures.median, figures.worst, limit, good ? "ok" : "TOO SLOW");
  std::fflush(stdout);
  return good;
}

}  // namespace

int main(int count, char** arguments) try {
  const std::string folder = count > 1 ? arguments[1] : "examples", only = count > 2 ? arguments[2] : "";
  std::printf("%-12s %-12s %8s %8s %8s %8s %8s\n", "analyzer", "traffic", "C++ ns", "Lua ns", "ratio", "worst",
              "limit");
  bool good = true;
  for (const Case& given : kCases)
    if (only.empty() || only == given.example) good = run(given, folder) && good;
  return good ? 0 : 1;
} catch (const engine::SetupError& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
