// The flag form of a plugin: what is typed, what a comma means, and how instances are told apart.
#include "engine/cli/plugin_flag.h"

#include "tests/cli/support.h"

namespace {

using namespace engine::cli;
using cli_test::refusal_of;

TEST(PluginFlag, TypesBooleansAndDecimalNumbersAndNothingElse) {
  const PluginSetting plugin =
      parse_plugin_flag("x.lua,k=20,half=-0.5,on=true,off=false,hex=0x1F,exp=1e5,word=nan,empty=,minus=-");
  const Arguments expected = {{"k", 20.0},    {"half", -0.5},  {"on", true},  {"off", false}, {"hex", "0x1F"},
                              {"exp", "1e5"}, {"word", "nan"}, {"empty", ""}, {"minus", "-"}};
  EXPECT_EQ(plugin.path, "x.lua");
  EXPECT_EQ(plugin.name, "x");
  ASSERT_EQ(plugin.args.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(plugin.args[i], expected[i]) << expected[i].first;
}

TEST(PluginFlag, ABackslashEscapesACommaAndIsElseItself) {
  const PluginSetting plugin = parse_plugin_flag(R"(a\,b.lua,nets=10.0.0.0/8\,192.168.0.0/16,re=\d+,eq=a=b)");
  EXPECT_EQ(plugin.path, "a,b.lua");
  const Arguments expected = {{"nets", "10.0.0.0/8,192.168.0.0/16"}, {"re", R"(\d+)"}, {"eq", "a=b"}};
  EXPECT_EQ(plugin.args, expected);
}

TEST(PluginFlag, NameNamesTheInstanceAndIsNoArgument) {
  const PluginSetting plugin = parse_plugin_flag("dir/x.lua,name=left,k=1");
  EXPECT_EQ(plugin.name, "left");
  EXPECT_EQ(plugin.args.size(), 1u);
  EXPECT_EQ(default_plugin_name("dir.d/top.talkers.lua"), "top.talkers");
  EXPECT_EQ(default_plugin_name(".lua"), ".lua");
}

TEST(PluginFlag, MistakesAreRefusedInOneLine) {
  const auto refused = [](const char* text) { return refusal_of([&] { parse_plugin_flag(text); }).line; };
  EXPECT_EQ(refused("x.lua,k"),
            "--plugin x.lua,k: 'k' is not an argument; write key=value, and \\, for a comma inside a value");
  EXPECT_EQ(refused("x.lua,k=1,k=2"), "--plugin x.lua,k=1,k=2: 'k' is given twice");
  EXPECT_NE(refused("x.lua,"), "");
  EXPECT_NE(refused("x.lua,=1"), "");
  EXPECT_NE(refused(",k=1"), "");
  EXPECT_NE(refused("x.lua,name="), "");
}

TEST(PluginFlag, TwoInstancesOfOneFileNeedNames) {
  std::vector<PluginSetting> plugins;
  const auto refusal = refusal_of([&] { merge_plugin_flags(plugins, {"x.lua", "other/x.lua"}, {}); });
  EXPECT_NE(refusal.line.find("a plugin named 'x' is loaded already"), std::string::npos) << refusal.line;
  EXPECT_EQ(refusal.code, engine::ExitCode::bad_usage);

  plugins.clear();
  merge_plugin_flags(plugins, {"x.lua", "x.lua,name=second"}, {"code one", "code two"});
  ASSERT_EQ(plugins.size(), 4u);
  EXPECT_EQ(plugins[1].name, "second");
  EXPECT_EQ(plugins[2].name, "eval");
  EXPECT_EQ(plugins[2].code, "code one");
  EXPECT_EQ(plugins[3].name, "eval2");
}

TEST(PluginFlag, ChangesTheArgumentsOfAConfiguredInstanceAndLeavesTheRest) {
  PluginSetting configured;
  configured.path = "/lib/x.lua";
  configured.name = "x";
  configured.args = {{"k", 5.0}, {"mode", "slow"}};
  configured.memory_bytes = 1 << 20;
  std::vector<PluginSetting> plugins{configured};
  merge_plugin_flags(plugins, {"x.lua,k=20,new=true"}, {});
  ASSERT_EQ(plugins.size(), 1u);
  const Arguments expected = {{"k", 20.0}, {"mode", "slow"}, {"new", true}};
  EXPECT_EQ(plugins[0].args, expected);
  EXPECT_EQ(plugins[0].path, "x.lua");
  EXPECT_EQ(plugins[0].memory_bytes, std::size_t{1} << 20);
}

TEST(PluginFlag, ArgumentsWrittenBackAreReadAsTheSame) {
  for (const char* text : {"true", "false", "20", "-0.25", "123456789012345", "0.1", "word", ""}) {
    EXPECT_EQ(argument_text(typed_argument(text)), text);
  }
}

}  // namespace
