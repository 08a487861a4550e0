// What the control socket's lines mean, and what it says to those that mean nothing.
#include "engine/control/commands.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/engine/enforce_kernel.h"

namespace {

using engine::control::answer;
using engine::control::Target;

struct Commands : ::testing::Test {
  Commands() {
    engine::EnforcementConfig config;
    config.blocked = kernel.blocks();
    config.bypassed = kernel.flows();
    config.rate = kernel.rate();
    config.never = {enforce_test::source("192.0.2.1")};
    config.tell = [](std::string_view, std::string_view) {};
    lists.emplace(std::move(config));
    target.status = [](engine::JsonWriter& json) { json.unsigned_number("uptime_s", 5); };
    target.set_filter = [this](const std::string& text) {
      filter = text;
      return text == "bad" ? std::string("syntax error") : std::string();
    };
    target.reload = [this] {
      ++reloads;
      return std::string();
    };
    target.stop = [this] { ++stops; };
    target.lists = &*lists;
    target.now_ns = [this] { return now_ns; };
  }
  std::string ask(std::string_view line) { return answer(line, target); }
  std::string error(std::string_view line) {
    const std::string text = ask(line);
    constexpr std::string_view head = R"({"ok":false,"error":")";
    EXPECT_TRUE(text.starts_with(head)) << text;
    return text.size() < head.size() + 2 ? text : text.substr(head.size(), text.size() - head.size() - 2);
  }

  enforce_test::FakeKernel kernel;
  std::optional<engine::Enforcement> lists;
  Target target;
  std::string filter;
  std::uint64_t now_ns = 0;
  int reloads = 0;
  int stops = 0;
};

constexpr std::string_view kOk = R"({"ok":true})";

TEST_F(Commands, AreDone) {
  EXPECT_EQ(ask(R"({"command":"status"})"), R"({"ok":true,"uptime_s":5})");
  EXPECT_EQ(ask(R"({"command":"filter","filter":"udp port 53"})"), kOk);
  EXPECT_EQ(filter, "udp port 53");
  EXPECT_EQ(ask(R"({"command":"reload"})"), kOk);
  EXPECT_EQ(ask(R"( {"command" : "stop"} )"), kOk);
  EXPECT_EQ(reloads + stops, 2);
}

TEST_F(Commands, ChangeTheLists) {
  EXPECT_EQ(ask(R"({"command":"block","target":"10.0.0.1"})"), kOk);
  EXPECT_EQ(ask(R"({"command":"block","target":"2001:db8::/32","seconds":1.5})"), kOk);
  EXPECT_EQ(kernel.in, (std::set<std::string>{"10.0.0.1", "2001:db8::/32"}));
  now_ns = 500'000'000;
  const std::string listed = ask(R"({"command":"list","what":"block"})");
  EXPECT_NE(listed.find(R"({"target":"10.0.0.1","by":"operator"})"), std::string::npos) << listed;
  EXPECT_NE(listed.find(R"({"target":"2001:db8::/32","seconds":1,"by":"operator"})"), std::string::npos) << listed;
  EXPECT_EQ(ask(R"({"command":"unblock","target":"10.0.0.1"})"), kOk);
  EXPECT_EQ(ask(R"({"command":"bypass","flow":"tcp 10.0.0.1:80 10.0.0.2:4000","seconds":60})"), kOk);
  kernel.passed["tcp 10.0.0.1:80 10.0.0.2:4000"] = {5, 500};
  EXPECT_EQ(ask(R"({"command":"list","what":"bypass","limit":10})"),
            R"({"ok":true,"entries":[{"flow":"tcp 10.0.0.1:80 10.0.0.2:4000","seconds":60,"by":"operator","packets":5,)"
            R"("bytes":500}]})");
  EXPECT_EQ(ask(R"({"command":"unbypass","flow":"tcp 10.0.0.2:4000 10.0.0.1:80"})"),
            R"({"ok":true,"packets":5,"bytes":500})");
  EXPECT_EQ(ask(R"({"command":"rate_limit","max_pps":1000,"burst":5})"), R"({"ok":true,"in_force":1000})");
  EXPECT_EQ(kernel.max_pps, 1000u);
  EXPECT_EQ(ask(R"({"command":"rate_limit","max_pps":0})"), R"({"ok":true,"in_force":0})");
}

TEST_F(Commands, ListInPages) {
  for (std::uint32_t i = 0; i < 50; ++i) lists->block(enforce_test::numbered(i), engine::Enforcement::kForGood_s, 0);
  std::set<std::string> seen;
  std::string from = "0";
  for (int page = 0; page < 50 && !from.empty(); ++page) {
    const std::string text = ask(R"({"command":"list","what":"block","limit":7,"from":)" + from + "}");
    for (std::size_t at = text.find("\"target\""); at != text.npos; at = text.find("\"target\"", at + 1))
      seen.insert(text.substr(at, text.find(',', at) - at));
    const std::size_t next = text.find("\"next\":");
    from = next == text.npos ? "" : text.substr(next + 7, text.size() - next - 8);
  }
  EXPECT_EQ(from, "");
  EXPECT_EQ(seen.size(), 50u);
}

TEST_F(Commands, SayWhatIsWrong) {
  constexpr const char* all =
      "there are status, filter, block, unblock, bypass, unbypass, rate_limit, list, reload or stop";
  EXPECT_EQ(error(R"({"command":"blok"})"), "no such command; did you mean block?");
  EXPECT_EQ(error(R"({"command":"xyzzy"})"), std::string("no such command; ") + all);
  EXPECT_EQ(error("{}"), std::string(R"(\"command\" is missing; )") + all);
  EXPECT_EQ(error(R"({"command":5})"), std::string(R"(\"command\" is missing; )") + all);
  EXPECT_EQ(error("[]"), R"(not an object; write {\"command\":\"status\"})");
  EXPECT_EQ(error("status").find("not JSON: "), 0u);
  EXPECT_EQ(error("").find("not JSON: "), 0u);
  EXPECT_EQ(error(R"({"command":"stop"} {"command":"stop"})").find("not JSON: "), 0u);
  EXPECT_EQ(error(R"({"command":"stop","command":"stop"})").find("not JSON: "), 0u);
  EXPECT_EQ(error(R"({"command":"status","x":1})"), R"(\"x\" is not known here; known: command)");
  EXPECT_EQ(error(R"({"command":"block","target":"10.0.0.1","second":9})"),
            R"(\"second\" is not known here; known: command, target, seconds)");
  EXPECT_EQ(error(R"({"command":"block"})"), R"(\"target\" is missing; for example \"target\":\"192.0.2.0/24\")");
  EXPECT_EQ(error(R"({"command":"block","target":10})"), R"(\"target\" must be a string)");
  EXPECT_NE(error(R"({"command":"block","target":"10.0.0.1/8"})").find("has bits set behind its prefix"),
            std::string::npos);
  EXPECT_EQ(error(R"({"command":"block","target":"192.0.2.1"})"),
            "this machine, a gateway or --never-block lies in it");
  EXPECT_EQ(error(R"({"command":"block","target":"10.0.0.1","seconds":0})"),
            R"(\"seconds\" must be a number from 0.001 to 31536000)");
  EXPECT_EQ(error(R"({"command":"unblock","target":"10.0.0.1"})"), "it is not in the list");
  EXPECT_NE(error(R"({"command":"bypass","flow":"tcp 10.0.0.1"})").find("is no flow"), std::string::npos);
  EXPECT_EQ(error(R"({"command":"rate_limit"})"), R"(\"max_pps\" is missing; 0 ends the limit)");
  EXPECT_EQ(error(R"({"command":"rate_limit","max_pps":1.5})"), R"(\"max_pps\" must be a whole number)");
  EXPECT_EQ(error(R"({"command":"rate_limit","max_pps":-1})"), R"(\"max_pps\" must be a number from 0 to 1000000000)");
  EXPECT_EQ(error(R"({"command":"list","what":"blocks"})"), R"(\"what\" must be block or bypass)");
  EXPECT_EQ(error(R"({"command":"filter","filter":"bad"})"), "syntax error");
  EXPECT_EQ(error("{\"command\":\"filter\",\"filter\":\"a\\u0000b\"}").find("not JSON"), 0u);
  EXPECT_EQ(stops, 0);
  EXPECT_TRUE(kernel.in.empty());
}

TEST_F(Commands, WithoutAKernelSayWhereItFails) {
  target.lists = nullptr;
  for (const char* line : {R"({"command":"block","target":"10.0.0.1"})", R"({"command":"list","what":"block"})",
                           R"({"command":"rate_limit","max_pps":1})"})
    EXPECT_NE(error(line).find("no interface is captured by AF_XDP"), std::string::npos);
}

// Lines that begin as commands and end as anything: each has an answer of one line.
TEST_F(Commands, HaveAnAnswerToEverything) {
  const std::string seeds[] = {R"({"command":"block","target":"10.0.0.1","seconds":60})",
                               R"({"command":"list","what":"block","from":3,"limit":5})",
                               R"({"command":"bypass","flow":"tcp 10.0.0.1:80 10.0.0.2:4000"})",
                               R"({"command":"rate_limit","max_pps":1000})", std::string(1000, '[')};
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string line = seeds[random() % std::size(seeds)];
    for (unsigned change = random() % 4; change > 0; --change) {
      const std::size_t at = random() % line.size();
      switch (random() % 3) {
        case 0:
          line[at] = static_cast<char>(random());
          break;
        case 1:
          line.erase(at, random() % 8 + 1);
          break;
        default:
          line.insert(at, 1, static_cast<char>(random()));
      }
      if (line.empty()) line = "x";
    }
    const std::string text = ask(line);
    ASSERT_TRUE(text.starts_with(R"({"ok":)") && text.ends_with("}")) << text;
    ASSERT_EQ(text.find('\n'), std::string::npos);
  }
}

}  // namespace
