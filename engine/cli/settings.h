// Everything the command line, the configuration and the environment say, as plain data.
//
// Main thread, before anything starts. The initial values here are the defaults; engine/cli/settings_table.cpp ties
// each member to its flag, its configuration key and what is allowed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/cli/log.h"
#include "engine/tap/packet_ring.h"
#include "xsk/mode.h"

namespace engine::cli {

enum class Command { capture, bench, check, generate, help, version, dump };
enum class WaitMode { automatic, spin, poll };
enum class OutputFormat { automatic, json, pretty };
enum class Outgoing { mark, ignore };
enum class AutoOnOff { automatic, on, off };

// What a plugin finds in `args`: true/false and decimal numbers are typed, all else is text.
using ArgumentValue = std::variant<bool, double, std::string>;
using Arguments = std::vector<std::pair<std::string, ArgumentValue>>;

struct PluginSetting {
  std::string path;  // empty: the plugin is `code`
  std::string code;  // --eval
  std::string name;  // unique; default: the file's name without folder and .lua
  Arguments args;
  std::size_t memory_bytes = 64u << 20;
  std::uint32_t deadline_ms = 0;  // of the thread's CPU time, for a batch; 0: the default of the source
  bool trusted = false;
};

struct InterfaceSetting {
  std::string name;
  std::vector<std::uint32_t> queues;  // ascending; empty: the first --queues N, or all

  friend bool operator==(const InterfaceSetting&, const InterfaceSetting&) = default;
};

struct RateLimitSetting {
  std::uint32_t max_pps = 0;  // of each source address; 0: no limit
  std::uint32_t burst = 0;    // packets at once; 0: a tenth of a second's, at least 1
};

struct Settings {
  Command command = Command::capture;
  std::span<char* const> command_args;  // what follows a subcommand's name

  // Where packets come from: exactly one of the two is set for Command::capture.
  std::vector<InterfaceSetting> interfaces;
  std::string pcap_path;  // "-": standard input

  std::uint32_t queues = 0;  // 0: all
  xsk::RequestedMode mode = xsk::RequestedMode::automatic;
  Outgoing outgoing = Outgoing::mark;  // what AF_PACKET sees of what this machine sends
  std::string filter;
  std::string filter_path;  // read at the start and at each reload; excludes `filter`
  bool take_all = false;
  bool replace = false;
  bool no_promisc = false;
  bool watch = false;                   // plugins whose files change are loaded anew
  std::span<char* const> command_line;  // to read it again; empty: there is none
  std::string block_path;
  std::string never_block_path;
  std::vector<std::string> block;  // addresses and networks from the configuration
  std::string bypass_path;
  std::vector<std::string> bypass;  // flows from the configuration
  RateLimitSetting rate_limit;
  std::uint32_t list_room = 65536;  // addresses and flows that may come into the lists while it runs
  std::string control_path;         // of the control socket; empty: none
  bool no_reload = false;  // the rights that a reload of the filter or a return of the interface needs are given up
  AutoOnOff hugepages = AutoOnOff::automatic;
  AutoOnOff hints = AutoOnOff::automatic;  // hash, time stamp and VLAN tag from the NIC

  std::uint32_t workers = 0;  // 0: min(queues, cores of the NIC's node - 1), at least 1
  std::string cpus;           // "2-5,8"; empty: chosen by topology. Well-formed: see parse_cpu_list
  WaitMode wait = WaitMode::automatic;
  std::uint32_t rx_usecs = 0;                       // see Idling::coalesce_ns
  std::uint32_t rx_ring_entries = 0;                // per queue; 0: XdpPort::choose_sizes()
  std::uint32_t frames = 0;                         // per queue; 0: the RX ring's and the NIC's
  std::size_t tap_ring_bytes = kDefaultRing_bytes;  // of each AF_PACKET socket
  double duration_s = 0;                            // 0: until stopped
  std::uint64_t count = 0;                          // packets; 0: no limit

  std::vector<PluginSetting> plugins;

  std::string output_path = "-";  // "-": standard output; "none"
  OutputFormat format = OutputFormat::automatic;
  std::string write_path;     // packets as pcapng; "-": standard output; empty: none
  bool capture_only = false;  // of them only those that a plugin chose
  std::string summary_path;
  double stats_s = 0;  // 0: no status line
  LogLevel log_level = LogLevel::info;

  std::string config_path;

  // What messages name where one name must do.
  std::string first_interface() const { return interfaces.empty() ? std::string() : interfaces.front().name; }
};

// `args` is argv without the program's name; it must outlive the settings (command_args points into it). Throws
// SetupError(bad_usage).
Settings parse_command_line(std::span<char* const> args);

std::string help_text();
std::string version_text();

// The settings as a configuration that --config reads back to the same settings (--dump).
std::string configuration_text(const Settings& settings);

// The CPUs of "2-5,8" in the order written. Throws BadValue.
std::vector<unsigned> parse_cpu_list(std::string_view text);

// "eth0" or "eth0:0-3,5". No network device has a colon in its name, but an alternative name may: what follows the last
// colon is taken for queues if it is made of digits, commas and dashes. Throws BadValue.
InterfaceSetting parse_interface(std::string_view text);
std::string interface_text(const InterfaceSetting& interface);

}  // namespace engine::cli
