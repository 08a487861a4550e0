// The whole command line: what wins over what, and which combinations are refused with which exit code.
#include <cstdio>
#include <fstream>

#include "engine/cli/options.h"
#include "engine/cli/settings.h"
#include "tests/cli/support.h"

namespace {

using namespace engine::cli;
using cli_test::Args;
using cli_test::refusal_of;
using engine::ExitCode;

// A configuration file that is gone with the test.
class ConfigFile {
 public:
  explicit ConfigFile(const char* text)
      : path_(::testing::TempDir() + "cli_test_" + std::to_string(getpid()) + ".lua") {
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::remove(path_.c_str()); }
  const char* path() const { return path_.c_str(); }

 private:
  std::string path_;
};

class CommandLine : public ::testing::Test {
 protected:
  void SetUp() override { unsetenv("ENGINE_LOG"); }
  void TearDown() override { unsetenv("ENGINE_LOG"); }
};

std::string refused(const Args& args, ExitCode code = ExitCode::bad_usage) {
  const auto refusal = refusal_of([&] { parse_command_line(args); });
  EXPECT_EQ(refusal.code, code) << refusal.line;
  EXPECT_EQ(refusal.line.find('\n'), std::string::npos) << refusal.line;
  return refusal.line;
}

TEST_F(CommandLine, TakesEveryFlagOfACapture) {
  const Settings s = parse_command_line(Args{"--iface",
                                             "eth0",
                                             "--queues",
                                             "8",
                                             "--mode",
                                             "copy",
                                             "--filter",
                                             "udp port 53",
                                             "--take-all",
                                             "--block",
                                             "b.txt",
                                             "--replace",
                                             "--no-promisc",
                                             "--workers",
                                             "2",
                                             "--cpus",
                                             "1-2",
                                             "--wait",
                                             "poll",
                                             "--rx-usecs",
                                             "500",
                                             "--duration",
                                             "1.5",
                                             "--count",
                                             "9007199254740992",
                                             "--plugin",
                                             "a.lua,k=20",
                                             "--eval",
                                             "function on_packet(p) end",
                                             "--output",
                                             "out.jsonl",
                                             "--format",
                                             "json",
                                             "--summary",
                                             "sum.json",
                                             "--stats",
                                             "1",
                                             "--log-level",
                                             "warn"});
  EXPECT_EQ(s.command, Command::capture);
  EXPECT_EQ(s.interfaces, (std::vector<InterfaceSetting>{{"eth0", {}}}));
  EXPECT_EQ(s.queues, 8u);
  EXPECT_EQ(s.mode, xsk::RequestedMode::copy);
  EXPECT_EQ(s.filter, "udp port 53");
  EXPECT_TRUE(s.take_all && s.replace && s.no_promisc);
  EXPECT_EQ(s.block_path, "b.txt");
  EXPECT_EQ(s.workers, 2u);
  EXPECT_EQ(s.cpus, "1-2");
  EXPECT_EQ(s.wait, WaitMode::poll);
  EXPECT_EQ(s.rx_usecs, 500u);
  EXPECT_EQ(s.duration_s, 1.5);
  EXPECT_EQ(s.count, 1ull << 53);
  ASSERT_EQ(s.plugins.size(), 2u);
  EXPECT_EQ(s.plugins[1].code, "function on_packet(p) end");
  EXPECT_EQ(s.output_path, "out.jsonl");
  EXPECT_EQ(s.format, OutputFormat::json);
  EXPECT_EQ(s.summary_path, "sum.json");
  EXPECT_EQ(s.stats_s, 1);
  EXPECT_EQ(s.log_level, LogLevel::warn);
}

TEST_F(CommandLine, NeedsExactlyOneSource) {
  EXPECT_NE(refused({}).find("give --iface IF or --pcap FILE"), std::string::npos);
  EXPECT_EQ(refused({"--iface", "a", "--pcap", "f"}),
            "--pcap f: cannot be combined with interface a; give --iface or --pcap");
  EXPECT_EQ(parse_command_line(Args{"--pcap", "-"}).pcap_path, "-");
}

TEST_F(CommandLine, RefusesWhatConcernsInterfacesForAFile) {
  EXPECT_EQ(refused({"--pcap", "f", "--queues", "2"}),
            "--queues: concerns an interface, not a capture file; drop it or --pcap");
  EXPECT_NE(refused({"--pcap", "f", "--take-all"}), "");
  EXPECT_EQ(parse_command_line(Args{"--pcap", "f", "--filter", "tcp", "--workers", "4"}).workers, 4u);
}

TEST_F(CommandLine, RefusesImpossibleCombinations) {
  EXPECT_EQ(refused({"--iface", "a", "--queues", "2", "--workers", "3"}),
            "--workers 3: more than the 2 queues: a queue has one worker; give at most as many workers as queues");
  EXPECT_EQ(refused({"--iface", "a", "--workers", "3", "--cpus", "0,1"}),
            "--cpus 0,1: names 2 CPUs for 3 workers; name one for each worker");
  EXPECT_NE(refused({"--iface", "a", "--format", "pretty", "--output", "f"}), "");
  EXPECT_EQ(refused({"--iface", "a:0-1", "--iface", "b:5", "--workers", "4"}),
            "--workers 4: more than the 3 queues: a queue has one worker; give at most as many workers as queues");
  EXPECT_EQ(parse_command_line(Args{"--iface", "a:0", "--iface", "b", "--workers", "4"}).workers, 4u);
  EXPECT_EQ(refused({"--iface", "a", "--no-reload", "--watch"}),
            "--watch: plugins' filters may change, and --no-reload gives up the rights; drop one of the two");
}

TEST_F(CommandLine, TakesSeveralInterfacesWithTheirQueues) {
  const Settings s =
      parse_command_line(Args{"--iface", "a", "--iface", "b:5,0-2", "--iface=pci:0000:x", "--queues", "all"});
  const std::vector<InterfaceSetting> expected = {{"a", {}}, {"b", {0, 1, 2, 5}}, {"pci:0000:x", {}}};
  EXPECT_EQ(s.interfaces, expected);
  EXPECT_EQ(interface_text(s.interfaces[1]), "b:0-2,5");
  EXPECT_EQ(s.first_interface(), "a");
  EXPECT_EQ(parse_command_line(Args{"--iface", "a", "--mode", "afpacket", "--outgoing", "ignore"}).outgoing,
            Outgoing::ignore);
}

TEST_F(CommandLine, RefusesWrongListsOfQueues) {
  constexpr const char* list = "has no valid list of queues; give queue numbers 0..127 and ranges, as in eth0:0-3,5";
  for (const char* bad : {"a:", "a:,", "a:1,", "a:-1", "a:1-", "a:3-1", "a:128", "a:1--2"})
    EXPECT_EQ(refused({"--iface", bad}), std::string("--iface ") + bad + ": " + list);
  EXPECT_EQ(refused({"--iface", "a:1,0-2"}), "--iface a:1,0-2: names queue 1 twice");
  EXPECT_EQ(refused({"--iface", ":1"}), "--iface :1: names no interface; write NAME or NAME:QUEUES");
  EXPECT_EQ(refused({"--iface="}), "--iface : names no interface; write NAME or NAME:QUEUES");
  EXPECT_NE(refused({"--iface", std::string(128, 'x').c_str()}).find("127 bytes at most"), std::string::npos);
}

TEST_F(CommandLine, ThereIsOneFilter) {
  EXPECT_EQ(refused({"--iface", "a", "--filter", "udp", "--filter-file", "f"}),
            "--filter-file f: there is a filter beside it: udp; give --filter or --filter-file");
  const ConfigFile file(R"(capture { interface = "eth0", filter = "tcp" })");
  const Settings s = parse_command_line(Args{"--config", file.path(), "--filter-file", "f"});
  EXPECT_EQ(s.filter, "");
  EXPECT_EQ(s.filter_path, "f");
}

TEST_F(CommandLine, TakesARateLimit) {
  const auto limit = [](const char* text) {
    return parse_command_line(Args{"--iface", "a", "--rate-limit", text}).rate_limit;
  };
  EXPECT_EQ(limit("1000").max_pps, 1000u);
  EXPECT_EQ(limit("1000").burst, 0u);
  EXPECT_EQ(limit("1000,burst=50").burst, 50u);
  EXPECT_EQ(refused({"--iface", "a", "--rate-limit", "0"}), "--rate-limit 0: must be 1..1000000000");
  EXPECT_EQ(refused({"--iface", "a", "--rate-limit", "1000,brust=1"}),
            "--rate-limit 1000,brust=1: has 'brust=1' after the rate; write PPS,burst=N");
  EXPECT_EQ(refused({"--iface", "a", "--rate-limit", "5,burst="}), "--rate-limit 5,burst=: must be 1..1000000000");
}

TEST_F(CommandLine, TakesWhatIsDoneInTheKernel) {
  const Settings s =
      parse_command_line(Args{"--iface", "a", "--bypass", "flows.txt", "--control", "/run/e.sock", "--no-reload",
                              "--hugepages", "off", "--hints", "on", "--filter-file", "f.txt"});
  EXPECT_EQ(s.bypass_path, "flows.txt");
  EXPECT_EQ(s.control_path, "/run/e.sock");
  EXPECT_TRUE(s.no_reload);
  EXPECT_EQ(s.hugepages, AutoOnOff::off);
  EXPECT_EQ(s.hints, AutoOnOff::on);
  EXPECT_EQ(s.outgoing, Outgoing::mark);
  EXPECT_EQ(refused({"--iface", "a", "--hints", "yes"}), "--hints yes: must be auto, on or off");
}

TEST_F(CommandLine, PacketsGoToAFileOfTheirOwn) {
  const Settings s = parse_command_line(Args{"--iface", "a", "--write", "x.pcapng", "--capture-only"});
  EXPECT_EQ(s.write_path, "x.pcapng");
  EXPECT_TRUE(s.capture_only);
  EXPECT_EQ(refused({"--iface", "a", "--capture-only"}),
            "--capture-only: there is no file to write packets to; add --write FILE");
  EXPECT_EQ(refused({"--iface", "a", "--write", "-"}),
            "--write -: results go there too; add --output FILE, or --output none");
  EXPECT_EQ(refused({"--iface", "a", "--write", "x", "--output", "x"}),
            "--write x: results go there too; give each a file of its own");
  EXPECT_EQ(refused({"--iface", "a", "--write", "x", "--summary", "x"}),
            "--write x: the summary goes there too; give each a file of its own");
  EXPECT_EQ(parse_command_line(Args{"--iface", "a", "--write", "-", "--output", "none"}).write_path, "-");
}

TEST_F(CommandLine, SubcommandsTakeTheRestUnread) {
  const Args args{"gen", "--iface", "x", "--whatever"};
  const Settings s = parse_command_line(args);
  EXPECT_EQ(s.command, Command::generate);
  ASSERT_EQ(s.command_args.size(), 3u);
  EXPECT_STREQ(s.command_args[2], "--whatever");
  EXPECT_EQ(refused({"gne"}), "'gne': unknown command; did you mean gen?");
  EXPECT_EQ(refused({"doctor"}), "'doctor': unknown command; 'engine --help' lists commands and options");
  EXPECT_NE(refused({""}), "");
  EXPECT_NE(refused({"--iface", "a", "gen"}), "");
}

TEST_F(CommandLine, HelpAndVersionNeedNothingElse) {
  EXPECT_EQ(parse_command_line(Args{"--help"}).command, Command::help);
  EXPECT_EQ(parse_command_line(Args{"-vh", "--config", "missing.lua"}).command, Command::help);
  EXPECT_EQ(parse_command_line(Args{"--version"}).command, Command::version);
  EXPECT_EQ(version_text().substr(0, 7), "engine ");
  EXPECT_NE(help_text().find("--queues N"), std::string::npos);
  EXPECT_EQ(help_text().find("doctor"), std::string::npos);
}

TEST_F(CommandLine, FlagsWinOverEnvironmentOverConfiguration) {
  const ConfigFile file(R"(capture { interface = "eth0", queues = 4, log_level = "error", block = { "10.0.0.1" } }
                           plugin "x.lua" { args = { k = 1, s = "1" }, memory = "2MiB", deadline_ms = 50 })");
  Settings s = parse_command_line(Args{"--config", file.path()});
  EXPECT_EQ(s.queues, 4u);
  EXPECT_EQ(s.log_level, LogLevel::error);
  setenv("ENGINE_LOG", "warn", 1);
  EXPECT_EQ(parse_command_line(Args{"--config", file.path()}).log_level, LogLevel::warn);
  s = parse_command_line(Args{"--queues", "all", "--config", file.path(), "-v", "--plugin", "x.lua,k=2"});
  EXPECT_EQ(s.queues, 0u);
  EXPECT_EQ(s.log_level, LogLevel::debug);
  EXPECT_EQ(s.block, std::vector<std::string>{"10.0.0.1"});
  const Arguments expected = {{"k", 2.0}, {"s", "1"}};
  ASSERT_EQ(s.plugins.size(), 1u);
  EXPECT_EQ(s.plugins[0].args, expected);
  EXPECT_EQ(s.plugins[0].memory_bytes, std::size_t{2} << 20);
  EXPECT_EQ(s.plugins[0].deadline_ms, 50u);
  setenv("ENGINE_LOG", "loud", 1);
  EXPECT_EQ(refused({"--iface", "a"}), "ENGINE_LOG=loud: must be error, warn, info or debug");
}

TEST_F(CommandLine, ASourceOnTheCommandLineTakesThePlaceOfTheConfiguredOne) {
  const ConfigFile file(R"(capture { interface = "eth0", queues = 4 })");
  const Settings s = parse_command_line(Args{"--config", file.path(), "--pcap", "f.pcap"});
  EXPECT_TRUE(s.interfaces.empty());
  EXPECT_EQ(s.pcap_path, "f.pcap");
}

TEST_F(CommandLine, RingSizesArePowersOfTwo) {
  EXPECT_EQ(parse_command_line(Args{"--iface", "a", "--rx-ring", "4096"}).rx_ring_entries, 4096u);
  EXPECT_EQ(refused({"--iface", "a", "--frames", "1000"}),
            "--frames 1000: is not a power of two; give a power of two, 64..65536");
}

TEST_F(CommandLine, ATapsRingIsASize) {
  EXPECT_EQ(parse_command_line(Args{"--iface", "a", "--tap-ring", "64MiB"}).tap_ring_bytes, 64u << 20);
  EXPECT_EQ(refused({"--iface", "a", "--tap-ring", "64kB"}),
            "--tap-ring 64kB: must be a size in 1MiB..1GiB; for example 64MiB");
}

TEST_F(CommandLine, ADumpReadsBackToTheSameSettings) {
  const ConfigFile first(R"lua(
    capture { interface = "eth0", filter = "host \"x\" or\n\0011 \\", block = { "10.0.0.0/8", "::1" }, duration = 0.1,
              stats = 2, rx_ring = 512, frames = 1024, bypass = { "tcp 10.0.0.1:1 10.0.0.2:2" }, rate_limit = 1000000, hints = "off", cpus = "2-3", wait = "spin", count = 9007199254740992, take_all = true }
    plugin "dir/x.lua" { name = "one", args = { k = 1e300, third = 1/3, ["a b"] = "20", yes = true }, trusted = true }
    plugin "inline" { code = "function on_packet(p)\n  count = 1\nend" }
    sink "json" { path = "none", format = "json" }
    sink "pcapng" { path = "x.pcapng", capture_only = true })lua");
  const std::string dumped = configuration_text(parse_command_line(Args{"--config", first.path(), "--dump"}));
  const ConfigFile second(dumped.c_str());
  const Settings again = parse_command_line(Args{"--config", second.path()});
  EXPECT_EQ(configuration_text(again), dumped);
  EXPECT_EQ(again.filter,
            "host \"x\" or\n\x01"
            "1 \\");
  ASSERT_EQ(again.plugins.size(), 2u);
  EXPECT_EQ(std::get<double>(again.plugins[0].args[2].second), 1.0 / 3);
  EXPECT_EQ(again.plugins[1].code, "function on_packet(p)\n  count = 1\nend");
  EXPECT_EQ(again.plugins[1].name, "inline");
  EXPECT_TRUE(again.plugins[0].trusted);
  EXPECT_EQ(again.interfaces, (std::vector<InterfaceSetting>{{"eth0", {}}}));
  EXPECT_EQ(again.rate_limit.max_pps, 1000000u);
  EXPECT_EQ(again.write_path, "x.pcapng");
  EXPECT_TRUE(again.capture_only);
}

TEST_F(CommandLine, ADumpOfDefaultsNeedsNoSource) {
  const Settings s = parse_command_line(Args{"--dump"});
  EXPECT_EQ(s.command, Command::dump);
  EXPECT_NE(configuration_text(s).find("queues = \"all\""), std::string::npos);
}

TEST(CpuList, IsNumbersAndRangesInTheOrderWritten) {
  EXPECT_EQ(parse_cpu_list("2-4,0"), (std::vector<unsigned>{2, 3, 4, 0}));
  for (const char* bad : {"", ",", "1,", "4-2", "1-", "-1", "a", "1,1", "0-2,1", "8192", "1 ,2"}) {
    EXPECT_THROW(parse_cpu_list(bad), BadValue) << bad;
  }
}

}  // namespace
