// What the operator lists: entries with and without an end, mistakes with their line, and the stages that follow.
#include "engine/enforce/operator_lists.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "engine/base/error.h"
#include "plugins/native.h"

namespace {

using engine::OperatorLists;
using engine::cli::Settings;

class OperatorListsTest : public ::testing::Test {
 protected:
  OperatorListsTest() : path_(::testing::TempDir() + "operator_lists_" + std::to_string(getpid())) {}
  ~OperatorListsTest() override { std::remove(path_.c_str()); }

  OperatorLists read(const std::string& text, std::string Settings::*file) {
    std::ofstream(path_) << text;
    Settings settings;
    settings.*file = path_;
    return engine::read_operator_lists(settings);
  }
  std::string refused(const std::string& text, std::string Settings::*file) {
    try {
      read(text, file);
    } catch (const engine::SetupError& error) {
      EXPECT_EQ(error.code(), engine::ExitCode::bad_usage);
      const std::string line = error.what();
      EXPECT_EQ(line.find(path_ + ":"), 0u) << line;
      return line.substr(path_.size() + 1);
    }
    return "none";
  }

  std::string path_;
};

TEST_F(OperatorListsTest, EntriesAreForGoodOrForSomeSeconds) {
  const OperatorLists lists =
      read("# list\n10.0.0.1\n 10.0.0.2\t60 # a minute\r\n10.1.0.0/16 0.5\n\n2001:db8::/32\n", &Settings::block_path);
  EXPECT_EQ(lists.blocked.addresses.size() + lists.blocked.networks.size(), 2u);
  ASSERT_EQ(lists.blocked_for_s.size(), 2u);
  EXPECT_EQ(lists.blocked_for_s[0].first.text(), "10.0.0.2");
  EXPECT_EQ(lists.blocked_for_s[0].second, 60);
  EXPECT_EQ(lists.blocked_for_s[1].first.text(), "10.1.0.0/16");
  EXPECT_EQ(lists.blocked_for_s[1].second, 0.5);
}

TEST_F(OperatorListsTest, FlowsToo) {
  const OperatorLists lists = read(
      "tcp 10.0.0.1:80 10.0.0.2:4000\nicmp 10.0.0.1 10.0.0.2 5\nudp [::1]:53 [::2]:1 1e3\n", &Settings::bypass_path);
  ASSERT_EQ(lists.bypassed_for_s.size(), 3u);
  EXPECT_EQ(lists.bypassed_for_s[0].second, engine::Enforcement::kForGood_s);
  EXPECT_EQ(lists.bypassed_for_s[1].first.text(), "icmp 10.0.0.1 10.0.0.2");
  EXPECT_EQ(lists.bypassed_for_s[1].second, 5);
  EXPECT_EQ(lists.bypassed_for_s[2].second, 1000);
}

TEST_F(OperatorListsTest, AMistakeIsNamedWithItsLine) {
  constexpr const char* seconds = "is no number of seconds; give one above 0, up to a year, or none for good";
  for (const char* bad : {"0", "-1", "1h", "nan", "4e7"})
    EXPECT_EQ(refused("10.0.0.1\n10.0.0.2 " + std::string(bad), &Settings::block_path),
              "2: \"" + std::string(bad) + "\" " + seconds);
  EXPECT_EQ(refused("10.0.0.1 5 6", &Settings::block_path).find("1: \"10.0.0.1 5\" is not an address"), 0u);
  EXPECT_EQ(refused("10.0.0.1/8 5", &Settings::block_path).find("1: \"10.0.0.1/8\" has bits set"), 0u);
  EXPECT_EQ(refused("tcp 10.0.0.1:80", &Settings::bypass_path).find("1: \"tcp 10.0.0.1:80\" is no flow; write "), 0u);
  EXPECT_EQ(refused("\nudp 10.0.0.1:80 10.0.0.2:1 x", &Settings::bypass_path), std::string("2: \"x\" ") + seconds);
}

TEST(OperatorStages, AreThoseThatTheSettingsAskFor) {
  Settings settings;
  const OperatorLists none;
  EXPECT_EQ(engine::stages_of(settings, none), 0u);
  bpf::RootConfig root;
  engine::add_stages(settings, 0, none, root);
  EXPECT_EQ(root.more_addresses + root.bypass_flows + root.rate_sources, 0u) << "what is not configured is not there";
  settings.rate_limit = {1000, 7};
  EXPECT_EQ(engine::stages_of(settings, none), unsigned{ENGINE_USE_RATE});
  engine::add_stages(settings, ENGINE_USE_RATE, none, root);
  EXPECT_EQ(root.rate_sources, engine::kRateSources);
  EXPECT_EQ(root.rate.max_pps, 1000u);
  settings.control_path = "/run/x";
  settings.list_room = 1u << 20;
  EXPECT_EQ(engine::stages_of(settings, none), unsigned{ENGINE_USE_BLOCK | ENGINE_USE_BYPASS | ENGINE_USE_RATE});
  engine::add_stages(settings, ENGINE_USE_BLOCK | ENGINE_USE_BYPASS, none, root);
  EXPECT_EQ(root.more_addresses, 1u << 20);
  EXPECT_EQ(root.more_networks, 1u << 14);
  EXPECT_EQ(root.bypass_flows, 1u << 20);
}

}  // namespace
