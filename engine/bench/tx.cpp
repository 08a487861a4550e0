// `engine bench tx`: AF_XDP transmission by the generator's own sender, as fast as it goes or at a rate.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "engine/bench/bench.h"
#include "engine/bench/options.h"
#include "engine/bench/report.h"
#include "engine/bench/rounds.h"
#include "engine/gen/gen.h"
#include "engine/gen/interrupts.h"
#include "numa/memory.h"

namespace engine::bench {
namespace {

constexpr std::string_view help_text =
    "Sends UDP packets through one AF_XDP socket a queue; each core of --cpus serves its share of the queues. A packet "
    "is sent when the kernel\n"
    "gives its frame back; what the device refused after that is told apart (on veth: what the peer's ring had no "
    "room\n"
    "for), and a rate counts for as much as arrives only where that is 0. Sizes are without the 4 bytes of FCS.";

struct Settings {
  Shared shared{.queues = 1, .batch = gen::TxTuning().batch};
  cli::InterfaceSetting interface;
  gen::Settings gen;
};

// What one thread sends.
struct Share {
  gen::Settings gen;
  std::optional<unsigned> cpu;
};

std::vector<cli::Option> own_options(Settings& s) {
  return {
      interface_option(s.interface, "interface to send on, and its queues if not the first"),
      {.name = "size",
       .value_name = "BYTES",
       .help = "frame length without FCS, BYTES[=WEIGHT],... or imix (default 64)",
       .value = cli::custom([&s](std::string_view text) { s.gen.traffic.sizes = gen::parse_sizes(text); }),
       .section = "What"},
      {.name = "flows",
       .value_name = "N",
       .help = "flows",
       .value = cli::number(s.gen.traffic.flows, 1, gen::max_flows)},
      {.name = "rate",
       .value_name = "PPS",
       .help = "packets a second; 0: as fast as possible",
       .value = cli::real(s.gen.rate_pps, 0, 1e9)},
  };
}

std::vector<cli::Option> shared_ones(Settings& s) {
  return shared_options(s.shared, {"mode", "queues", "batch", "cpus", "duration", "rounds"});
}

void add_round(const gen::Report& sent, Result& result) {
  const double packets = static_cast<double>(sent.total.packets);
  result.add("rate_pps", packets / sent.seconds);
  result.add("sent", packets);
  for (const auto& [queue, share] : sent.queues)
    if (sent.queues.size() > 1)
      result.add("rate_pps_queue_" + std::to_string(queue), static_cast<double>(share.packets) / sent.seconds);
  result.add("rate_bytes_per_s", static_cast<double>(sent.total.bytes) / sent.seconds);
  add_costs(sent.cost, sent.total.packets, result);
  result.add("refused", static_cast<double>(sent.not_taken->tx_dropped));
  result.add("unfinished", static_cast<double>(sent.unfinished));
}

// Each core has queues of its own, and a sender; the rate is shared out evenly.
std::vector<Share> share_out(const Settings& settings) {
  std::vector<unsigned> cpus;
  if (!settings.shared.cpus.empty()) cpus = cli::parse_cpu_list(settings.shared.cpus);
  const std::size_t threads = std::clamp<std::size_t>(cpus.size(), 1, settings.gen.queues.size());
  std::vector<Share> shares(threads, Share{settings.gen, std::nullopt});
  for (std::size_t i = 0; i < threads; ++i) {
    shares[i].gen.queues.clear();
    shares[i].gen.rate_pps /= static_cast<double>(threads);
    if (!cpus.empty()) shares[i].cpu = cpus[i];
  }
  for (std::size_t i = 0; i < settings.gen.queues.size(); ++i)
    shares[i % threads].gen.queues.push_back(settings.gen.queues[i]);
  return shares;
}

gen::Report send(const Share& share) {
  if (share.cpu) numa::pin_this_thread(*share.cpu);
  gen::Outcome outcome = gen::generate(share.gen);
  // The signal was meant for all senders, and one of them has taken it.
  if (outcome.report.interrupted) kill(getpid(), SIGTERM);
  if (!outcome.failure.empty())
    throw SetupError(ExitCode::runtime_failure, "send on " + share.gen.interface_name, outcome.failure);
  return std::move(outcome.report);
}

std::uint64_t refused(const xsk::Link& link) {
  return xsk::read_device_counters(link.ifindex).value_or(xsk::DeviceCounters{}).tx_dropped;
}

// One round of all senders together, in one report.
gen::Report send_all(const std::vector<Share>& shares, const xsk::Link& link) {
  const std::uint64_t refused_before = refused(link);
  std::vector<std::future<gen::Report>> senders;
  for (const Share& share : shares) senders.push_back(std::async(std::launch::async, send, std::cref(share)));
  gen::Report whole;
  double rate_pps = 0;
  for (auto& sender : senders) {
    const gen::Report part = sender.get();
    if (whole.notes.empty()) whole.notes = part.notes;
    whole.mode = part.mode;
    whole.total += part.total;
    whole.unfinished += part.unfinished;
    whole.interrupted |= part.interrupted;
    whole.cost += part.cost;
    whole.queues.insert(whole.queues.end(), part.queues.begin(), part.queues.end());
    rate_pps += static_cast<double>(part.total.packets) / part.seconds;
  }
  whole.seconds = static_cast<double>(whole.total.packets) / rate_pps;  // they did not end at the same moment
  whole.not_taken = gen::NotTaken{refused(link) - refused_before, {}, {}};
  return whole;
}

}  // namespace

ExitCode run_tx(std::span<char* const> args) {
  Settings settings;
  if (!parse({"tx", "--iface IF [options]", help_text}, own_options(settings), shared_ones(settings), settings.shared,
             args))
    return ExitCode::done;
  require_interface("tx", settings.interface);
  if (settings.shared.mode == xsk::RequestedMode::skb)
    throw SetupError(ExitCode::bad_usage, "--mode skb", "generic XDP receives only", "use --mode copy");
  gen::Settings& gen = settings.gen;
  const xsk::Link link = xsk::read_link(settings.interface.name);
  gen.interface_name = link.name;
  gen.method = gen::Method::tx;
  gen.tx = {settings.shared.mode, settings.shared.batch};
  gen.duration_s = settings.shared.duration_s;
  if (!settings.interface.queues.empty()) gen.queues = settings.interface.queues;
  for (std::uint32_t queue = 1; settings.interface.queues.empty() && queue < settings.shared.queues; ++queue)
    gen.queues.push_back(queue);
  const std::vector<Share> shares = share_out(settings);
  Report report = begin_report("tx", args);
  Result result{.name = "tx",
                .params = {{"rate_asked_pps", gen.rate_pps},
                           {"batch", std::uint64_t{gen.tx.batch}},
                           {"threads", std::uint64_t{shares.size()}}}};
  const gen::Interrupts interrupts;  // blocked in the senders' threads too
  for (std::uint32_t round = 0; round < settings.shared.rounds; ++round) {
    const gen::Report sent = send_all(shares, link);
    add_round(sent, result);
    report.interface = interface_used(link, sent.mode, static_cast<std::uint32_t>(gen.queues.size()));
    if (round == 0) result.notes.insert(result.notes.end(), sent.notes.begin(), sent.notes.end());
    if (sent.interrupted) break;
  }
  report.traffic = traffic_of(gen.traffic);
  report.results.push_back(std::move(result));
  publish(report, settings.shared.json_path);
  return ExitCode::done;
}

}  // namespace engine::bench
