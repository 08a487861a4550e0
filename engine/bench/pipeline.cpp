// `engine bench pipeline`: what each stage costs a packet, in memory; no root, no network.
#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/bench/bench.h"
#include "engine/bench/memory_stages.h"
#include "engine/bench/options.h"
#include "engine/bench/two_workers.h"
#include "numa/memory.h"

namespace engine::bench {
namespace {

constexpr std::uint32_t kFrames = 4096;
constexpr std::uint32_t kManyQueues = 8;

// A bound that the stage's ratio to `base` is held against.
struct Goal {
  std::string stage, base;
  std::optional<double> target;
};

struct Settings {
  Shared shared;
  std::string traffic = "udp4";
  std::string examples = "examples";
  double time_ms = 20;
};

std::vector<cli::Option> own_options(Settings& s) {
  return {
      {.name = "traffic",
       .value_name = "NAME",
       .help = "udp4: 64-byte UDP over IPv4; realistic: all kinds, VLAN tags, IMIX sizes",
       .value = cli::text(s.traffic),
       .section = "What"},
      {.name = "examples",
       .value_name = "DIR",
       .help = "analyzers to measure: the .lua files of this folder",
       .value = cli::text(s.examples)},
      {.name = "time",
       .value_name = "MS",
       .help = "CPU time of a stage in a round, at least",
       .value = cli::real(s.time_ms, 0.1, 60'000)},
  };
}

std::vector<cli::Option> shared(Settings& s) { return shared_options(s.shared, {"batch", "cpus", "rounds"}); }

class Pipeline {
 public:
  Pipeline(const Settings& settings, Report& report)
      : settings_(settings),
        report_(report),
        traffic_(traffic_named(settings.traffic)),
        area_(std::make_shared<FrameArea>(traffic_, kFrames)) {}

  void add_stages() {
    add("touch", touch_stage(area_));
    add("decode", decode_stage(area_, settings_.shared.batch), "touch");
    add_plugin("decode_lua_count", count_plugin(), 4);
    add_plugin("decode_lua_record", record_plugin());
    add_flows(10'000, std::nullopt);
    add_flows(1'000'000, 10);
    add_examples();
    add("worker_1_queue", worker_stage(traffic_, kFrames, 1), "touch");
    add("worker_8_queues", worker_stage(traffic_, kFrames, kManyQueues), "worker_1_queue", 1.05);
    add("queue", queue_stage(settings_.shared.batch), {}, std::nullopt, "ns_per_record");
    add("json", json_stage(), {}, std::nullopt, "ns_per_line");
  }

  void run() {
    const RoundPlan plan{settings_.shared.rounds, static_cast<std::uint64_t>(settings_.time_ms * 1e6)};
    report_.results = measure(stages_, plan);
    for (const Goal& goal : goals_)
      report_.ratios.push_back(ratio_of(of(goal.stage), of(goal.base), "ns_per_packet", Better::lower, goal.target));
  }

 private:
  void add(std::string name, std::unique_ptr<Stage> stage, std::string base = {},
           std::optional<double> target = std::nullopt, std::string value_name = "ns_per_packet") {
    if (!base.empty()) goals_.push_back({name, std::move(base), target});
    stages_.push_back({std::move(name), {}, std::move(value_name), std::move(stage)});
  }
  void add_plugin(std::string name, cli::PluginSetting plugin, std::optional<double> target = std::nullopt) {
    add(std::move(name), plugin_stage(area_, settings_.shared.batch, std::move(plugin)), "touch", target);
  }
  // Plain UDP of one source port in any case: so there are as many flows as addresses.
  void add_flows(std::uint32_t flows, std::optional<double> target) {
    const auto area = std::make_shared<FrameArea>(gen::TrafficSpec{}, kFrames);
    const std::string number = std::to_string(flows);
    add("rewrite_touch_" + number, touch_stage(area, flows));
    add("rewrite_decode_lua_flows_" + number, plugin_stage(area, settings_.shared.batch, flow_plugin(flows), flows),
        "rewrite_touch_" + number, target);
  }
  void add_examples() {
    namespace fs = std::filesystem;
    std::error_code error;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(settings_.examples, error))
      if (entry.path().extension() == ".lua") files.push_back(entry.path());
    std::ranges::sort(files);
    for (const fs::path& file : files)
      add_plugin("analyzer_" + file.stem().string(),
                 {.path = file.string(), .code = {}, .name = file.stem().string(), .args = {}});
    if (files.empty())
      report_.missing.push_back({"analyzers", "there are no .lua files in " + settings_.examples,
                                 "give --examples DIR, with the folder examples of the source"});
  }
  const Result& of(const std::string& name) const { return *std::ranges::find(report_.results, name, &Result::name); }

  const Settings& settings_;
  Report& report_;
  gen::TrafficSpec traffic_;
  std::shared_ptr<FrameArea> area_;
  std::vector<NamedStage> stages_;
  std::vector<Goal> goals_;
};

}  // namespace

ExitCode run_pipeline(std::span<char* const> args) {
  Settings settings;
  if (!parse({"pipeline", "[options]",
              "What each stage costs a packet: 4,096 frames in memory, visited in a random order. A ratio to 'touch'\n"
              "says how many times longer it takes than to read one word of each frame."},
             own_options(settings), shared(settings), settings.shared, args))
    return ExitCode::done;
  Report report = begin_report("pipeline", args);
  report.traffic = {{"traffic", settings.traffic},
                    {"frames", std::uint64_t{kFrames}},
                    {"batch", std::uint64_t{settings.shared.batch}}};
  const std::vector<unsigned> cpus = measuring_cpus(settings.shared.cpus);
  numa::pin_this_thread(cpus.front());
  {
    Pipeline pipeline(settings, report);
    pipeline.add_stages();
    pipeline.run();
  }
  add_two_workers(cpus, traffic_named(settings.traffic), kFrames,
                  {settings.shared.rounds, static_cast<std::uint64_t>(settings.time_ms * 1e6)}, report);
  publish(report, settings.shared.json_path);
  return ExitCode::done;
}

}  // namespace engine::bench
