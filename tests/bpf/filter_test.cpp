// --filter against libpcap's interpreter: the same text, the same frames, the same answer.
#include "bpf/filter.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <stdexcept>

#include "bpf/root_program.h"
#include "tests/bpf/filter_rig.h"
#include "tests/bpf/filter_texts.h"
#include "tests/bpf/frames.h"
#include "tests/bpf/pcap_oracle.h"

namespace {

using namespace bpf_test;

TEST(Filter, MeansWhatItMeansToLibpcap) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  config.filter = "";
  auto root = bpf::RootProgram::load(config);
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  std::mt19937_64 random(20240229);
  std::vector<Frame> frames;
  for (int i = 0; i < 2000; ++i) frames.push_back(random_frame(random));
  std::uint64_t runs = 0, matched = 0;
  for (const char* text : filter_texts()) {
    root.set_filter(text);
    const PcapFilter oracle(text);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const bool match = run(root.program_fd(), frames[i]) == XDP_REDIRECT;
      ASSERT_EQ(match, oracle.matches(frames[i]))
          << text << ", frame " << i << ": " << testing::PrintToString(frames[i]);
      matched += match;
      ++runs;
    }
  }
  const root_counters counters = root.counters(0);
  EXPECT_EQ(counters.xdp_seen, runs);
  EXPECT_EQ(counters.redirected, matched);
  EXPECT_EQ(counters.passed, runs - matched);
}

TEST(Filter, MeansWhatItMeansToLibpcapAlsoInRandomCombinations) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  config.filter = "";
  auto root = bpf::RootProgram::load(config);
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  std::mt19937_64 random(3);
  int refused = 0;
  constexpr int texts = 300;
  for (int i = 0; i < texts; ++i) {
    const std::string text = random_text(std::ref(random), i % 4);
    if (const std::string error = error_of([&] { root.set_filter(text); }); !error.empty()) {
      EXPECT_THROW(PcapFilter{text}, std::runtime_error) << "libpcap takes it, and we: " << error;
      ++refused;
      continue;
    }
    const PcapFilter oracle(text);
    for (int n = 0; n < 300; ++n) {
      const Frame frame = random_frame(random);
      ASSERT_EQ(run(root.program_fd(), frame) == XDP_REDIRECT, oracle.matches(frame))
          << text << ": " << testing::PrintToString(frame);
    }
  }
  EXPECT_LT(refused, texts / 2);
}

// The operator's filter and those of plugins, whose texts libpcap would not take as one: `vlan` shifts what follows it.
TEST(Filter, JoinsProgramsAndNotTexts) {
  NEEDS_ROOT();
  const XdpRig xdp(false), frags(true);
  const TapRig tap;
  std::mt19937_64 random(5);
  int tested = 0;
  std::uint64_t matched = 0, runs = 0;
  while (tested < 200) {
    bpf::FilterExpression expression = random_text(std::ref(random), static_cast<int>(random() % 2));
    if (random() % 4 == 0) expression.required.clear();
    for (std::uint64_t plugins = random() % 4; plugins > 0; --plugins)
      expression.any_of.push_back(random_text(std::ref(random), 0));
    if (!error_of([&] { bpf::compile_expression(expression); }).empty()) continue;
    const auto wanted = [&, required = PcapFilter(expression.required)](const Frame& frame) {
      const auto takes = [&](const std::string& text) { return PcapFilter(text).matches(frame); };
      return required.matches(frame) && (expression.any_of.empty() || std::ranges::any_of(expression.any_of, takes));
    };
    const bpf::ClassicExpression classic = bpf::compile_expression(expression);
    const engine::UniqueFd programs[] = {xdp.load(classic), frags.load(classic), tap.load(classic)};
    for (const engine::UniqueFd& program : programs) ASSERT_TRUE(program.valid()) << expression.text();
    for (int i = 0; i < 100; ++i, ++runs) {
      const Frame frame = random_frame(random);
      const bool match = wanted(frame);
      ASSERT_EQ(xdp.matches(programs[0].get(), frame), match) << expression.text();
      ASSERT_EQ(frags.matches(programs[1].get(), frame), match) << expression.text();
      ASSERT_EQ(frags.matches_split(programs[1].get(), frame, 14), match) << expression.text();
      if (TapRig::can_run(frame)) {
        ASSERT_EQ(tap.matches(programs[2].get(), frame), match) << expression.text();
      }
      if (TapRig::can_untag(frame)) {
        ASSERT_EQ(tap.matches_untagged_by_kernel(programs[2].get(), frame), match) << expression.text();
      }
      matched += match;
    }
    ++tested;
  }
  EXPECT_GT(matched, runs / 50);
  EXPECT_LT(matched, runs - runs / 50);
}

TEST(Filter, MeansWhatItMeansToLibpcapOverRecordedTraffic) {
  NEEDS_ROOT();
  if (std::getenv("ENGINE_CORPUS") == nullptr)
    GTEST_SKIP() << "needs captures: set ENGINE_CORPUS to a folder of pcap and pcapng files";
  std::vector<Frame> frames;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(std::getenv("ENGINE_CORPUS"))) {
    if (!entry.is_regular_file()) continue;
    for (Frame& frame : frames_of_capture(entry.path()))
      if (frame.size() >= 14 && frame.size() <= 65535) frames.push_back(std::move(frame));
  }
  ASSERT_FALSE(frames.empty());
  const XdpRig xdp(false), frags(true);
  const TapRig tap;
  std::uint64_t runs = 0;
  for (const char* text : filter_texts()) {
    const PcapFilter oracle(text);
    const bpf::ClassicExpression classic = bpf::compile_expression(text);
    const engine::UniqueFd linear = xdp.load(classic), split = frags.load(classic), tapped = tap.load(classic);
    for (const Frame& frame : frames) {
      const bool match = oracle.matches(frame), fits = frame.size() <= 3000;
      bool good = frags.matches_split(split.get(), frame, std::min<std::size_t>(frame.size(), 14 + runs % 60)) == match;
      if (fits) good = good && xdp.matches(linear.get(), frame) == match;
      if (fits && TapRig::can_run(frame)) good = good && tap.matches(tapped.get(), frame) == match;
      if (fits && TapRig::can_untag(frame)) good = good && tap.matches_untagged_by_kernel(tapped.get(), frame) == match;
      ASSERT_TRUE(good) << text << ": " << testing::PrintToString(frame);
      ++runs;
    }
  }
  RecordProperty("runs", std::to_string(runs));
}

TEST(Filter, ReadsJumboFramesToTheirEnd) {
  NEEDS_ROOT();
  const XdpRig rig(true);
  Frame frame = udp_frame("10.0.0.1", "10.0.0.2", 1, 53);
  frame.resize(9000);
  frame[8998] = 0xab;
  const auto takes = [&](const char* text) {
    const engine::UniqueFd program = rig.load(bpf::compile_expression(text));
    return rig.matches(program.get(), frame);
  };
  EXPECT_TRUE(takes("greater 8000"));
  EXPECT_FALSE(takes("less 8000"));
  EXPECT_TRUE(takes("len = 9000 and udp port 53"));
  EXPECT_TRUE(takes("ether[8996:4] = 0x0000ab00"));
  EXPECT_TRUE(takes("ether[len - 2] = 0xab"));
  EXPECT_FALSE(takes("ether[8997:4] >= 0")) << "ends behind the frame";
  frame.resize(65535);
  frame.back() = 0xcd;
  EXPECT_TRUE(takes("ether[65534] = 0xcd"));
  EXPECT_TRUE(takes("ether[len - 1] = 0xcd"));
  EXPECT_TRUE(takes("ether[len - 4:4] = 0xcd"));
}

TEST(Filter, WithVlanInOnePluginsTextLeavesTheOthersAlone) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  config.filter = bpf::kernel_filter("not port 22", std::vector<std::string>{"vlan 5 and udp", "udp port 53"});
  auto root = bpf::RootProgram::load(config);
  const engine::UniqueFd socket = unbound_socket();
  root.set_socket(0, socket.get());
  const auto takes = [&](const Frame& frame) { return run(root.program_fd(), frame) == XDP_REDIRECT; };
  EXPECT_TRUE(takes(udp_frame("10.0.0.1", "10.0.0.2", 1, 53)));
  EXPECT_TRUE(takes(udp_frame("10.0.0.1", "10.0.0.2", 1, 54, {5})));
  EXPECT_FALSE(takes(udp_frame("10.0.0.1", "10.0.0.2", 1, 54)));
  EXPECT_FALSE(takes(udp_frame("10.0.0.1", "10.0.0.2", 22, 53)));
  EXPECT_TRUE(takes(udp_frame("10.0.0.1", "10.0.0.2", 22, 53, {5}))) << "`port` looks behind no tag";
}

TEST(Filter, OfTheKernelIsTheOperatorsAndTheUnionOfThePlugins) {
  using Texts = std::vector<std::string>;
  const auto joined = [](const std::string& required, const Texts& plugins) {
    const auto filter = bpf::kernel_filter(required, plugins);
    return filter ? filter->text() : "none";
  };
  EXPECT_EQ(joined("", {}), "none");
  EXPECT_EQ(joined("tcp", {}), "tcp");
  EXPECT_EQ(joined("", {"udp"}), "(udp)");
  EXPECT_EQ(joined("ip", {"udp", "tcp"}), "(ip) and ((udp) or (tcp))");
  EXPECT_EQ(joined("", {"udp", "tcp", "udp"}), "(udp) or (tcp)");
  EXPECT_EQ(joined("ip", {"udp", ""}), "ip") << "a plugin without a filter wants everything";
  EXPECT_EQ(joined("", {"", "udp"}), "none");
}

TEST(Filter, EachOfTheFiltersTestedMatchesSomeFramesAndNotOthers) {
  std::mt19937_64 random(20240229);
  std::vector<Frame> frames;
  for (int i = 0; i < 2000; ++i) frames.push_back(random_frame(random));
  for (const char* text : filter_texts()) {
    const PcapFilter oracle(text);
    std::size_t matched = 0;
    for (const Frame& frame : frames) matched += oracle.matches(frame);
    const bool rare = std::string(text) == "rarp" || std::string(text) == "igmp" ||
                      std::string(text).starts_with("tcp[((") || std::string(text).starts_with("ether[12:4]");
    EXPECT_TRUE(rare || matched > 0) << text;
    EXPECT_TRUE(*text == '\0' || matched < frames.size()) << text;
  }
}

// The engine may keep CAP_BPF for reloads and no more.
TEST(FilterDeathTest, NeedsNoCapPerfmon) {
  NEEDS_ROOT();
  EXPECT_EXIT(
      {
        bpf::RootConfig config;
        config.filter = "";
        auto root = bpf::RootProgram::load(config);
        drop_capabilities({CAP_PERFMON, CAP_SYS_ADMIN});
        std::string errors;
        for (const char* text : filter_texts()) errors += error_of([&] { root.set_filter(text); });
        for (const char* text : filter_texts()) errors += error_of([&] { bpf::TapFilter().load(text); });
        std::fprintf(stderr, "errors: <%s>\n", errors.c_str());
        _exit(0);
      },
      testing::ExitedWithCode(0), "errors: <>");
}

TEST(Filter, RefusesABadTextInLibpcapsWords) {
  EXPECT_EQ(error_of([] { bpf::compile_filter("port http-or-so"); }).find("2: filter \"port http-or-so\": "), 0U);
  EXPECT_NE(error_of([] { bpf::compile_filter("tcp and and"); }).find("syntax error"), std::string::npos);
}

TEST(Filter, RefusesByNameWhatWouldNotMeanTheSameEverywhere) {
  for (const char* text : {"ip protochain 6", "ip6 protochain 6", "udp and not ip6 protochain 6"}) {
    const std::string error = error_of([&] { bpf::compile_filter(text); });
    EXPECT_EQ(error.find("2: filter \"" + std::string(text) + "\": has a loop, as `protochain` makes"), 0U) << error;
  }
  for (const char* text : {"inbound", "outbound", "ifindex 3", "tcp and not inbound"}) {
    const std::string error = error_of([&] { bpf::compile_filter(text); });
    EXPECT_EQ(error.find("2: filter \"" + std::string(text) + "\": asks for something that is not in the frame (`in"),
              0U)
        << error;
  }
  constexpr int linux_cooked = 113;  // where the direction is a field of the header
  EXPECT_FALSE(bpf::compile_filter("inbound", bpf::filter_snaplen_bytes, linux_cooked).empty());
}

TEST(Filter, KeepsTheOldOneWhenTheNewOneIsBad) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  config.filter = "udp port 53";
  auto root = bpf::RootProgram::load(config);
  EXPECT_NE(error_of([&] { root.set_filter("udp prt 54"); }), "");
  EXPECT_EQ(run(root.program_fd(), udp_frame("10.0.0.1", "10.0.0.2", 1, 54)), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(root.counters(0).passed, 1U);
}

TEST(Filter, CannotBeSetOnARunWithoutAFilterStage) {
  NEEDS_ROOT();
  auto root = bpf::RootProgram::load({});
  EXPECT_FALSE(root.has_filter_stage());
  EXPECT_EQ(error_of([&] { root.set_filter("udp"); }).find("2: set the filter: "), 0U);
}

}  // namespace
