#include "engine/cli/settings_table.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "engine/cli/source_values.h"

namespace engine::cli {
namespace {

constexpr std::uint32_t max_cpu = 8191;  // the kernel's NR_CPUS limit on x86-64 is 8192 (arch/x86/Kconfig)
constexpr std::uint64_t max_exact_double = 1ull << 53;  // numbers in the configuration are doubles
constexpr double year_s = 365.0 * 24 * 3600;

Value verbose(LogLevel& level) {
  return {ValueKind::flag, {}, [&level](std::string_view) { level = LogLevel::debug; }, {}};
}

Value cpu_list(std::string& target) {
  Value value = text(target);
  value.allowed = "for example 2-5,8";
  value.set = [&target](std::string_view written) {
    parse_cpu_list(written);
    target = written;
  };
  return value;
}

void add(std::vector<Option>& to, std::initializer_list<Option> options) { to.insert(to.end(), options); }

void add_source(std::vector<Option>& to, Settings& s) {
  using xsk::RequestedMode;
  add(to, {
              {.name = "iface",
               .value_name = "IF[:QUEUES]",
               .help = "take packets from this interface, or these of its queues; may be given again",
               .value = interfaces(s.interfaces),
               .config_key = "capture.interfaces",
               .section = "Source"},
              {.name = {}, .value = one_interface(s.interfaces), .config_key = "capture.interface"},
              {.name = "queues",
               .value_name = "N",
               .help = "receive queues to take of each interface",
               .value = number(s.queues, 1, max_queues, "all"),
               .config_key = "capture.queues"},
              {.name = "pcap",
               .value_name = "FILE",
               .help = "read a pcap or pcapng file instead; - is standard input",
               .value = text(s.pcap_path),
               .config_key = "capture.pcap"},
              {.name = "mode",
               .value_name = "MODE",
               .help = "auto, zerocopy, copy, skb or afpacket; a forced mode fails instead of falling back",
               .value = choice(s.mode, {{"auto", RequestedMode::automatic},
                                        {"zerocopy", RequestedMode::zerocopy},
                                        {"copy", RequestedMode::copy},
                                        {"skb", RequestedMode::skb},
                                        {"afpacket", RequestedMode::afpacket}}),
               .config_key = "capture.mode"},
              {.name = "outgoing",
               .value_name = "HOW",
               .help = "AF_PACKET sees what this machine sends too: mark or ignore it",
               .value = choice(s.outgoing, {{"mark", Outgoing::mark}, {"ignore", Outgoing::ignore}}),
               .config_key = "capture.outgoing"},
              {.name = "filter",
               .value_name = "EXPR",
               .help = "take what matches, in tcpdump's language; the rest goes on to the kernel",
               .value = text(s.filter),
               .config_key = "capture.filter"},
              {.name = "filter-file",
               .value_name = "FILE",
               .help = "the same from a file, which SIGHUP reads again",
               .value = text(s.filter_path),
               .config_key = "capture.filter_file"},
              {.name = "take-all",
               .help = "take everything, also from an interface this machine is reached by",
               .value = flag(s.take_all),
               .config_key = "capture.take_all"},
              {.name = "replace",
               .help = "take the place of an XDP program that is attached already",
               .value = flag(s.replace),
               .config_key = "capture.replace"},
              {.name = "no-promisc",
               .help = "leave promiscuous mode off",
               .value = flag(s.no_promisc),
               .config_key = "capture.no_promisc"},
              {.name = "watch",
               .help = "load a plugin anew when a .lua file in its folder changes, as SIGHUP does for all",
               .value = flag(s.watch),
               .config_key = "capture.watch"},
          });
}

void add_enforcement(std::vector<Option>& to, Settings& s) {
  add(to, {
              {.name = "block",
               .value_name = "FILE",
               .help = "drop packets from the addresses and networks in FILE, each for good or for some seconds",
               .value = text(s.block_path),
               .config_key = "capture.block_file",
               .section = "In the kernel"},
              {.name = "never-block",
               .value_name = "FILE",
               .help = "plugins must not block the addresses and networks listed in FILE",
               .value = text(s.never_block_path),
               .config_key = "capture.never_block_file"},
              {.name = {}, .value = list(s.block), .config_key = "capture.block"},
              {.name = "bypass",
               .value_name = "FILE",
               .help = "leave the flows in FILE to the kernel, unseen but counted",
               .value = text(s.bypass_path),
               .config_key = "capture.bypass_file"},
              {.name = {}, .value = list(s.bypass), .config_key = "capture.bypass"},
              {.name = "rate-limit",
               .value_name = "PPS[,burst=N]",
               .help = "drop what a source address sends above so many packets a second",
               .value = rate_limit(s.rate_limit),
               .config_key = "capture.rate_limit"},
              {.name = "list-room",
               .value_name = "N",
               .help = "addresses that may be blocked, and flows bypassed, at a time while it runs",
               .value = number(s.list_room, 1, 1u << 24),
               .config_key = "capture.list_room"},
              {.name = "hints",
               .value_name = "HOW",
               .help = "auto, on or off: the NIC's hash, time stamp and VLAN tag",
               .value = auto_on_off(s.hints),
               .config_key = "capture.hints"},
              {.name = "control",
               .value_name = "PATH",
               .help = "take commands at a unix socket, one JSON object a line",
               .value = text(s.control_path),
               .config_key = "capture.control"},
              {.name = "no-reload",
               .help = "give up the rights that a new filter or an interface's return needs",
               .value = flag(s.no_reload),
               .config_key = "capture.no_reload"},
          });
}

// Rings are indexed by masks: the kernel takes no other sizes (xsk_init_queue in net/xdp/xsk.c).
Value power_of_two(std::uint32_t& target, std::uint32_t min, std::uint32_t max) {
  Value value = number(target, min, max);
  value.allowed = "a power of two, " + value.allowed;
  value.set = [&target, check = value.set, allowed = value.allowed](std::string_view text) {
    check(text);
    if (!std::has_single_bit(target)) throw BadValue{"is not a power of two", "give " + allowed};
  };
  return value;
}

void add_running(std::vector<Option>& to, Settings& s) {
  add(to,
      {
          {.name = "workers",
           .value_name = "N",
           .help = "threads; default: the queues, at most the cores of the NIC's node less one",
           .value = number(s.workers, 1, max_queues),
           .config_key = "capture.workers",
           .section = "Running"},
          {.name = "cpus",
           .value_name = "LIST",
           .help = "CPUs for the workers, in this order",
           .value = cpu_list(s.cpus),
           .config_key = "capture.cpus"},
          {.name = "wait",
           .value_name = "HOW",
           .help = "idle workers spin or poll; auto spins where a worker owns its core",
           .value = choice(s.wait, {{"auto", WaitMode::automatic}, {"spin", WaitMode::spin}, {"poll", WaitMode::poll}}),
           .config_key = "capture.wait"},
          {.name = "rx-usecs",
           .value_name = "US",
           .help = "poll: under traffic, sleep up to so long between two looks, as a NIC's rx-usecs does",
           .value = number(s.rx_usecs, 0, 100'000),
           .config_key = "capture.rx_usecs"},
          {.name = "rx-ring",
           .value_name = "ENTRIES",
           .help = "length of a queue's RX ring; default: the NIC's own, or all frames where packets are copied",
           .value = power_of_two(s.rx_ring_entries, 64, 32768),
           .config_key = "capture.rx_ring"},
          {.name = "frames",
           .value_name = "N",
           .help = "packet buffers of a queue; default: the RX ring's entries and the NIC's",
           .value = power_of_two(s.frames, 64, 65536),
           .config_key = "capture.frames"},
          {.name = "tap-ring",
           .value_name = "SIZE",
           .help = "AF_PACKET: the ring of each socket; larger outlasts longer pauses, at the cost of the caches",
           .value = size_in_bytes(s.tap_ring_bytes, kMinRing_bytes, kMaxRing_bytes),
           .config_key = "capture.tap_ring"},
          {.name = "hugepages",
           .value_name = "HOW",
           .help = "auto, on or off: packet buffers in 2 MB pages; auto where some are free",
           .value = auto_on_off(s.hugepages),
           .config_key = "capture.hugepages"},
          {.name = "duration",
           .value_name = "S",
           .help = "stop after S seconds",
           .value = real(s.duration_s, 0.001, year_s),
           .config_key = "capture.duration"},
          {.name = "count",
           .value_name = "N",
           .help = "stop after N packets",
           .value = number(s.count, 1, max_exact_double),
           .config_key = "capture.count"},
      });
}

void add_plugins(std::vector<Option>& to, Settings& s, Actions& a) {
  add(to, {
              {.name = "plugin",
               .value_name = "FILE[,K=V]",
               .help = "run a Lua analyzer, with arguments; may be given again",
               .value = repeated(a.plugins),
               .section = "Analyzers"},
              {.name = "eval",
               .value_name = "CODE",
               .help = "run Lua code as an analyzer; may be given again",
               .value = repeated(a.evals)},
              {.name = "config",
               .value_name = "FILE",
               .help = "read settings from a Lua file; flags win over it",
               .value = text(s.config_path)},
              {.name = "dump", .help = "print the resulting settings as such a file and exit", .value = flag(a.dump)},
          });
}

void add_results(std::vector<Option>& to, Settings& s, Actions& a) {
  add(to,
      {
          {.name = "output",
           .value_name = "FILE",
           .help = "where results go; - is standard output, none is nowhere",
           .value = text(s.output_path),
           .config_key = "sink.path",
           .section = "Results"},
          {.name = "format",
           .value_name = "FMT",
           .help = "json, pretty or auto: pretty if results go to a terminal",
           .value = choice(
               s.format,
               {{"auto", OutputFormat::automatic}, {"json", OutputFormat::json}, {"pretty", OutputFormat::pretty}}),
           .config_key = "sink.format"},
          {.name = "write",
           .value_name = "FILE",
           .help = "write the packets that were analysed to a pcapng file; - is standard output",
           .value = text(s.write_path),
           .config_key = "pcapng.path"},
          {.name = "capture-only",
           .help = "write only the packets that a plugin chose with p:capture()",
           .value = flag(s.capture_only),
           .config_key = "pcapng.capture_only"},
          {.name = "summary",
           .value_name = "FILE",
           .help = "write the ledger of all frames as JSON at the end",
           .value = text(s.summary_path),
           .config_key = "capture.summary"},
          {.name = "stats",
           .value_name = "S",
           .help = "a status line each S seconds",
           .value = real(s.stats_s, 0.1, 86400),
           .config_key = "capture.stats"},
          {.name = "log-level",
           .value_name = "LEVEL",
           .help = "error, warn, info or debug; ENGINE_LOG sets it too",
           .value = choice(s.log_level, {{"error", LogLevel::error},
                                         {"warn", LogLevel::warn},
                                         {"info", LogLevel::info},
                                         {"debug", LogLevel::debug}}),
           .config_key = "capture.log_level"},
          {.name = "verbose", .letter = 'v', .help = "the same as --log-level debug", .value = verbose(s.log_level)},
          {.name = "version", .help = "print the version and exit", .value = flag(a.version), .section = "Other"},
          {.name = "help", .letter = 'h', .help = "print this and exit", .value = flag(a.help)},
      });
}

}  // namespace

std::vector<Option> capture_options(Settings& settings, Actions& actions) {
  std::vector<Option> options;
  add_source(options, settings);
  add_enforcement(options, settings);
  add_running(options, settings);
  add_plugins(options, settings, actions);
  add_results(options, settings, actions);
  return options;
}

std::vector<Option> plugin_options(PluginSetting& p) {
  return {
      {.name = {}, .value = text(p.name), .config_key = "plugin.name"},
      {.name = {}, .value = text(p.code), .config_key = "plugin.code"},
      {.name = {},
       .value = size_in_bytes(p.memory_bytes, 1u << 20, std::size_t{4} << 30),
       .config_key = "plugin.memory"},
      {.name = {}, .value = number(p.deadline_ms, 1, 60'000), .config_key = "plugin.deadline_ms"},
      {.name = {}, .value = flag(p.trusted), .config_key = "plugin.trusted"},
  };
}

bool is_live_only(std::string_view name) {
  constexpr std::string_view live[] = {"queues",      "mode",      "outgoing",   "take-all",   "block",
                                       "never-block", "bypass",    "rate-limit", "list-room",  "hints",
                                       "control",     "no-reload", "replace",    "no-promisc", "wait",
                                       "rx-usecs",    "rx-ring",   "frames",     "hugepages",  "tap-ring"};
  return std::find(std::begin(live), std::end(live), name) != std::end(live);
}

std::vector<unsigned> parse_cpu_list(std::string_view text) {
  const BadValue bad{"must be a list of CPU numbers and ranges", "for example 2-5,8"};
  std::vector<unsigned> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto take = [&] {
    unsigned cpu = 0;
    const auto [next, error] = std::from_chars(at, end, cpu);
    if (error != std::errc() || cpu > max_cpu) throw bad;
    at = next;
    return cpu;
  };
  while (true) {
    const unsigned first = take();
    unsigned last = first;
    if (at != end && *at == '-') {
      ++at;
      last = take();
    }
    if (last < first) throw bad;
    for (unsigned cpu = first; cpu <= last; ++cpu) {
      if (std::find(cpus.begin(), cpus.end(), cpu) != cpus.end()) {
        throw BadValue{"names CPU " + std::to_string(cpu) + " twice", "one worker runs on one CPU"};
      }
      cpus.push_back(cpu);
    }
    if (at == end) return cpus;
    if (*at++ != ',') throw bad;
  }
}

}  // namespace engine::cli
