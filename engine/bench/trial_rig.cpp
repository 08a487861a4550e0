#include "engine/bench/trial_rig.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstring>
#include <future>

#include "engine/clock.h"
#include "numa/memory.h"

namespace engine::bench {
namespace {

// How long nothing must come before it is believed that nothing more will: what is late on its way through one machine
// is late by microseconds. (RFC 2544 waits 2 s, for what a device under test may hold back.)
constexpr std::uint64_t settle_ns = 200'000'000;
constexpr std::uint64_t look_ns = 1'000'000;

void enter(const std::string& netns) {
  if (netns.empty()) return;
  const std::string path = netns.find('/') != netns.npos ? netns : "/run/netns/" + netns;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid())
    throw SetupError(ExitCode::bad_usage, "--gen-netns " + netns, std::strerror(errno), "'ip netns' lists them");
  if (setns(fd.get(), CLONE_NEWNET) != 0)
    throw SetupError(errno == EPERM ? ExitCode::not_permitted : ExitCode::bad_usage, "--gen-netns " + netns,
                     std::strerror(errno), errno == EPERM ? "needs CAP_SYS_ADMIN: run as root" : "");
}

}  // namespace

std::vector<cli::Option> generator_options(GeneratorConfig& c) {
  return {
      {.name = "gen-iface",
       .value_name = "IF",
       .help = "interface to send on",
       .value = cli::text(c.gen.interface_name)},
      {.name = "gen-netns",
       .value_name = "NAME|PATH",
       .help = "network namespace of that interface",
       .value = cli::text(c.netns)},
      {.name = "gen-cpu",
       .value_name = "CPU",
       .help = "core to send on; default: any but the receiver's",
       .value = cli::custom([&c](std::string_view text) {
         if (cli::parse_cpu_list(text).size() > 1)
           throw cli::BadValue{"names several cores", "one thread sends: name one"};
         c.cpu = text;
       })},
      {.name = "method",
       .value_name = "METHOD",
       .help = "live: XDP frames made in the kernel, one queue; tx: AF_XDP sockets",
       .value = cli::choice(c.gen.method,
                            {{"auto", gen::Method::automatic}, {"live", gen::Method::live}, {"tx", gen::Method::tx}}),
       .section = "Traffic"},
      {.name = "flows",
       .value_name = "N",
       .help = "flows",
       .value = cli::number(c.gen.traffic.flows, 1, gen::max_flows)},
      {.name = "gen-queues",
       .value_name = "N|LIST",
       .help = "queues to send on: the first N, or 1-3 or 0,2",
       .value = cli::custom([&c](std::string_view text) { c.gen.queues = gen::parse_queues(text); })},
  };
}

void require_generator(std::string_view command, const GeneratorConfig& config) {
  if (!config.gen.interface_name.empty()) return;
  throw SetupError(ExitCode::bad_usage, "engine bench " + std::string(command), "needs an interface to send on",
                   "give --gen-iface IF");
}

Receiving receiving(Receiver& receiver) {
  return {[&receiver] { return sum(receiver.sample()); }, receiver.port().link().name, "end the other generator"};
}

TrialRig::TrialRig(Receiving receiving, const GeneratorConfig& generator)
    : receiving_(std::move(receiving)), generator_(generator) {}

// On a thread of its own: a namespace and a core are a thread's.
gen::Report send_from(const GeneratorConfig& generator, const gen::Settings& settings) {
  gen::Outcome outcome = std::async(std::launch::async, [&] {
                           enter(generator.netns);
                           if (!generator.cpu.empty())
                             numa::pin_this_thread(cli::parse_cpu_list(generator.cpu).front());
                           return gen::generate(settings);
                         }).get();
  if (!outcome.failure.empty())
    throw SetupError(ExitCode::runtime_failure, "send on " + settings.interface_name, outcome.failure);
  return std::move(outcome.report);
}

Trial TrialRig::run(double rate_pps, double duration_s, std::uint16_t frame_bytes) {
  gen::Settings settings = generator_.gen;
  settings.rate_pps = rate_pps;
  settings.duration_s = duration_s;
  settings.traffic.sizes = {{frame_bytes, 1}};
  const WorkerSample before = receiving_.total();
  sent_ = send_from(generator_, settings);
  interrupted_ = interrupted_ || sent_.interrupted;
  const std::uint64_t sent = sent_.total.packets + sent_.unfinished;

  std::uint64_t changed_ns = monotonic_ns(), last = 0;
  for (;;) {
    received_ = difference(receiving_.total(), before);
    const std::uint64_t now_ns = monotonic_ns();
    if (received_.ours != last) changed_ns = now_ns;
    last = received_.ours;
    if (received_.ours >= sent || now_ns - changed_ns >= settle_ns) break;
    interrupted_ = interrupts_.arrived(look_ns) || interrupted_;
  }
  if (received_.ours > sent)
    throw SetupError(ExitCode::runtime_failure, "receive on " + receiving_.interface,
                     std::to_string(received_.ours) + " test packets came and " + std::to_string(sent) + " were sent",
                     receiving_.remedy);
  const double sent_pps = sent_.seconds > 0 ? static_cast<double>(sent) / sent_.seconds : 0;
  return {rate_pps, sent_pps, sent, received_.ours, sent_.not_taken ? sent_.not_taken->tx_dropped : 0};
}

}  // namespace engine::bench
