// The options of `engine gen`.
#include "engine/gen/settings.h"

#include <charconv>

#include "engine/base/error.h"

namespace engine::gen {
namespace {

constexpr std::uint32_t max_queue = 1023;

std::uint32_t queue_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max_queue)
    throw cli::BadValue{"'" + std::string(text) + "' is no queue number", "write 4 (the first four), 1-3 or 0,2"};
  return value;
}

std::vector<cli::Option> sending_options(Settings& s) {
  return {
      {.name = "iface",
       .letter = 'i',
       .value_name = "IF",
       .help = "interface to send on",
       .value = cli::text(s.interface_name),
       .section = "Where to"},
      {.name = "write",
       .value_name = "FILE",
       .help = "write the packets to a capture file instead; time stamps from the rate (default 1000000)",
       .value = cli::text(s.write_path)},
      {.name = "method",
       .value_name = "METHOD",
       .help = "live: XDP frames made in the kernel, one kind and size, one queue; tx: AF_XDP sockets",
       .value = cli::choice(s.method, {{"auto", Method::automatic}, {"live", Method::live}, {"tx", Method::tx}})},
      {.name = "queues",
       .value_name = "N|LIST",
       .help = "the first N queues, or those of a list: 1-3 or 0,2",
       .value = cli::custom([&s](std::string_view text) { s.queues = parse_queues(text); })},
      {.name = "rate",
       .value_name = "PPS",
       .help = "packets a second, over the whole run; 0: as fast as possible",
       .value = cli::real(s.rate_pps, 0, 1e9),
       .section = "How many"},
      {.name = "count",
       .letter = 'n',
       .value_name = "N",
       .help = "packets; 0: until the duration or a signal ends it",
       .value = cli::number(s.count, 0, UINT64_C(1'000'000'000'000'000))},
      {.name = "duration", .value_name = "S", .help = "seconds", .value = cli::real(s.duration_s, 0, 1e7)},
  };
}

std::vector<cli::Option> traffic_options(Settings& s) {
  TrafficSpec& t = s.traffic;
  return {
      {.name = "mix",
       .value_name = "SPEC",
       .help = "KIND[@VLAN[.INNER]][=WEIGHT],... or realistic; kinds: udp4 udp6 tcp4 tcp6 icmp4 icmp6 dns4 dns6 "
               "(default udp4)",
       .value = cli::custom([&t](std::string_view text) { t.mix = parse_mix(text); }),
       .section = "What"},
      {.name = "size",
       .value_name = "BYTES",
       .help = "frame length without FCS, BYTES[=WEIGHT],... or imix: 7:4:1 of 60, 590, 1514 (default 64)",
       .value = cli::custom([&t](std::string_view text) { t.sizes = parse_sizes(text); })},
      {.name = "flows",
       .value_name = "N",
       .help = "flows of each kind: they differ in source address and port",
       .value = cli::number(t.flows, 1, max_flows)},
      {.name = "zipf",
       .value_name = "S",
       .help = "flow i's share is as 1/i^S; 0: all the same",
       .value = cli::real(t.zipf, 0, 10)},
      {.name = "vlan",
       .value_name = "ID[,ID]",
       .help = "VLAN tag, or outer and inner tag",
       .value = cli::custom([&t](std::string_view text) { t.vlans = parse_vlans(text, ','); })},
      {.name = "seed",
       .value_name = "N",
       .help = "the same seed makes the same packets",
       .value = cli::number(t.seed, 0, UINT64_MAX)},
      {.name = "replay",
       .value_name = "FILE",
       .help = "send a capture's packets, untouched, at the rate given (not at the capture's times)",
       .value = cli::text(s.replay_path)},
      {.name = "loop",
       .value_name = "N",
       .help = "times to replay; 0: for ever",
       .value = cli::number(s.loops, 0, 1'000'000'000)},
  };
}

std::vector<cli::Option> address_options(TrafficSpec& t) {
  return {
      {.name = "dst-mac",
       .value_name = "MAC",
       .help = "destination address (default 02:00:00:00:00:02)",
       .value = cli::custom([&t](std::string_view text) { t.destination = parse_mac(text); })},
      {.name = "src-mac",
       .value_name = "MAC",
       .help = "source address (default 02:00:00:00:00:01)",
       .value = cli::custom([&t](std::string_view text) { t.source = parse_mac(text); })},
      {.name = "src4",
       .value_name = "ADDR",
       .help = "flow 0's IPv4 source (default 10.0.0.1)",
       .value = cli::custom([&t](std::string_view text) { t.source4 = parse_ipv4(text); })},
      {.name = "dst4",
       .value_name = "ADDR",
       .help = "IPv4 destination (default 198.18.0.1)",
       .value = cli::custom([&t](std::string_view text) { t.destination4 = parse_ipv4(text); })},
      {.name = "src6",
       .value_name = "ADDR",
       .help = "flow 0's IPv6 source (default 2001:2:0:1::1)",
       .value = cli::custom([&t](std::string_view text) { t.source6 = parse_ipv6(text); })},
      {.name = "dst6",
       .value_name = "ADDR",
       .help = "IPv6 destination (default 2001:2::1)",
       .value = cli::custom([&t](std::string_view text) { t.destination6 = parse_ipv6(text); })},
      {.name = "dst-port",
       .value_name = "PORT",
       .help = "destination port; 0: 9 for UDP, 80 for TCP (DNS: 53)",
       .value = cli::number(t.destination_port, 0, 65535)},
  };
}

std::vector<cli::Option> output_options(Settings& s) {
  return {
      {.name = "json",
       .help = "the report as one JSON object on stdout",
       .value = cli::flag(s.json),
       .section = "Output"},
      {.name = "help", .letter = 'h', .help = "this text", .value = cli::flag(s.help)},
  };
}

void refuse(std::string_view what, std::string_view reason, std::string_view remedy) {
  throw SetupError(ExitCode::bad_usage, what, reason, remedy);
}

void require_sense(const Settings& s, const cli::OptionTable& table) {
  if (s.interface_name.empty() == s.write_path.empty())
    refuse("engine gen", "needs an interface or a file, one of the two", "give --iface IF or --write FILE");
  const bool bounded = s.count != 0 || s.duration_s > 0 || (!s.replay_path.empty() && s.loops != 0);
  if (!s.write_path.empty() && !bounded)
    refuse("--write " + s.write_path, "the file would have no end", "give --count N or --duration S");
  if (s.replay_path.empty() && table.count("loop") != 0) refuse("--loop", "repeats a replay", "give --replay FILE");
  if (s.traffic.zipf > 0 && s.traffic.flows > max_zipf_flows)
    refuse("--zipf", "is drawn from at most 1000000 flows", "give fewer --flows");
  if (s.replay_path.empty()) return;
  for (const char* name : {"mix", "size", "flows", "zipf", "vlan", "dst-mac", "src-mac", "seed", "src4", "dst4", "src6",
                           "dst6", "dst-port"}) {
    if (table.count(name) != 0)
      refuse(std::string("--") + name, "a replay sends the capture's packets as they are", "leave it out");
  }
  if (s.method == Method::live)
    refuse("--method live", "live frames carry one kind and one size of packet", "use --method tx for a replay");
}

}  // namespace

std::vector<std::uint32_t> parse_queues(std::string_view text) {
  std::vector<std::uint32_t> queues;
  if (text.find_first_of(",-") == std::string_view::npos) {
    const std::uint32_t count = queue_number(text);
    if (count == 0) throw cli::BadValue{"must be at least one queue", "write 4 (the first four), 1-3 or 0,2"};
    for (std::uint32_t i = 0; i < count; ++i) queues.push_back(i);
    return queues;
  }
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::string_view piece = text.substr(0, comma);
    const std::size_t dash = piece.find('-');
    const std::uint32_t first = queue_number(piece.substr(0, dash));
    const std::uint32_t last = dash == std::string_view::npos ? first : queue_number(piece.substr(dash + 1));
    if (last < first) throw cli::BadValue{"'" + std::string(piece) + "' runs backwards", {}};
    for (std::uint32_t i = first; i <= last; ++i) {
      for (std::uint32_t known : queues)
        if (known == i) throw cli::BadValue{"queue " + std::to_string(i) + " is named twice", {}};
      queues.push_back(i);
    }
    if (comma == std::string_view::npos) return queues;
    text.remove_prefix(comma + 1);
  }
}

cli::OptionTable option_table(Settings& settings) {
  std::vector<cli::Option> options = sending_options(settings);
  for (cli::Option& option : traffic_options(settings)) options.push_back(std::move(option));
  for (cli::Option& option : address_options(settings.traffic)) options.push_back(std::move(option));
  for (cli::Option& option : output_options(settings)) options.push_back(std::move(option));
  return cli::OptionTable("engine gen", std::move(options));
}

Settings parse_settings(std::span<char* const> args) {
  Settings settings;
  cli::OptionTable table = option_table(settings);
  table.parse(args);
  if (!settings.help) require_sense(settings, table);
  return settings;
}

std::string help_text() {
  Settings settings;
  return "Usage: engine gen --iface IF [options]\n"
         "       engine gen --write FILE --count N [options]\n\n"
         "Sends packets as live XDP frames or through AF_XDP sockets, and reports what was sent and what the device\n"
         "counted as not taken. Frame lengths are without the 4 bytes of FCS. Where 16 bytes of payload fit, a packet\n"
         "begins it with its sequence number (from 0) and the time (ns since 1970, UTC) at which its batch of up to\n"
         "64 was begun, 8 bytes each in network byte order. Flow i comes from the source address + i, port\n"
         "1024 + i mod 64512.\n\n" +
         option_table(settings).help();
}

}  // namespace engine::gen
