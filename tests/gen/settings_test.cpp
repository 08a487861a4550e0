// The command line of the generator: what it accepts, and how it refuses.
#include "engine/gen/settings.h"

#include <gtest/gtest.h>

#include "engine/base/error.h"

namespace engine::gen::test {
namespace {

Settings parse(std::vector<std::string> words) {
  std::vector<char*> args;
  for (std::string& word : words) args.push_back(word.data());
  return parse_settings(args);
}

std::string refusal(std::vector<std::string> words) {
  try {
    parse(std::move(words));
  } catch (const SetupError& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_usage);
    return error.what();
  }
  return "accepted";
}

TEST(GenSettings, TakesTheWholeSpecification) {
  const Settings s = parse({"--iface",     "eth0",
                            "--method=tx", "--queues",
                            "1-2,5",       "--rate",
                            "1000",        "--count=7",
                            "--mix",       "udp4=4,dns6@10.20=2",
                            "--size",      "64=2,100",
                            "--flows",     "50",
                            "--zipf",      "1.1",
                            "--vlan",      "100,7",
                            "--seed",      "9",
                            "--dst-mac",   "02:0a:00:00:00:ff",
                            "--json"});
  EXPECT_EQ(s.interface_name, "eth0");
  EXPECT_EQ(s.method, Method::tx);
  EXPECT_EQ(s.queues, (std::vector<std::uint32_t>{1, 2, 5}));
  EXPECT_EQ(s.rate_pps, 1000);
  EXPECT_EQ(s.count, 7U);
  ASSERT_EQ(s.traffic.mix.size(), 2U);
  EXPECT_EQ(s.traffic.mix[1].kind, Kind::dns6);
  EXPECT_EQ(s.traffic.mix[1].weight, 2U);
  EXPECT_EQ(s.traffic.mix[1].vlans, (VlanTags{10, 20}));
  EXPECT_EQ(s.traffic.sizes[0].weight, 2U);
  EXPECT_EQ(s.traffic.sizes[1].frame_bytes, 100);
  EXPECT_EQ(s.traffic.vlans, (VlanTags{100, 7}));
  EXPECT_EQ(s.traffic.destination[5], 0xff);
  EXPECT_TRUE(s.json);
}

TEST(GenSettings, ANumberOfQueuesMeansTheFirstOnes) {
  EXPECT_EQ(parse_queues("3"), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(parse_queues("2-2"), (std::vector<std::uint32_t>{2}));
}

TEST(GenSettings, RefusesWithTheReasonAndTheRemedy) {
  const struct {
    std::vector<std::string> words;
    const char* part;
  } cases[] = {
      {{}, "needs an interface or a file"},
      {{"--iface", "a", "--write", "b"}, "one of the two"},
      {{"--write", "b"}, "give --count N or --duration S"},
      {{"--iface", "a", "--mix", "upd4"}, "'upd4' is no kind of packet"},
      {{"--iface", "a", "--mix", "udp4=0"}, "weight that is not 1..1000"},
      {{"--iface", "a", "--mix", "udp4,"}, "'' is no kind of packet"},
      {{"--iface", "a", "--mix", "udp4@4095"}, "must be 1..4094"},
      {{"--iface", "a", "--size", "59"}, "must be 60..3506"},
      {{"--iface", "a", "--size", "9000"}, "must be 60..3506"},
      {{"--iface", "a", "--vlan", "1,2,3"}, "more than two VLAN tags"},
      {{"--iface", "a", "--dst-mac", "02:00:00:00:00"}, "six pairs"},
      {{"--iface", "a", "--dst4", "10.0.0"}, "is no IPv4 address"},
      {{"--iface", "a", "--src6", "10.0.0.1"}, "is no IPv6 address"},
      {{"--iface", "a", "--dst-port", "65536"}, "--dst-port"},
      {{"--iface", "a", "--queues", "0"}, "at least one queue"},
      {{"--iface", "a", "--queues", "3-1"}, "runs backwards"},
      {{"--iface", "a", "--queues", "1,1"}, "named twice"},
      {{"--iface", "a", "--flows", "0"}, "--flows"},
      {{"--iface", "a", "--zipf", "1", "--flows", "1000001"}, "at most 1000000 flows"},
      {{"--iface", "a", "--loop", "2"}, "give --replay FILE"},
      {{"--iface", "a", "--replay", "x", "--size", "64"}, "as they are"},
      {{"--iface", "a", "--replay", "x", "--method", "live"}, "--method tx"},
      {{"--iface", "a", "--rtae", "5"}, "--rate"},
  };
  for (const auto& [words, part] : cases) EXPECT_NE(refusal(words).find(part), std::string::npos) << refusal(words);
}

TEST(GenSettings, HelpNamesEveryOption) {
  const std::string help = help_text();
  for (const char* option : {"--iface", "--write", "--method", "--queues", "--rate", "--count", "--duration", "--mix",
                             "--size", "--flows", "--zipf", "--vlan", "--seed", "--dst-mac", "--replay", "--loop",
                             "--json", "without the 4 bytes of FCS", "network byte order"})
    EXPECT_NE(help.find(option), std::string::npos) << option;
}

}  // namespace
}  // namespace engine::gen::test
