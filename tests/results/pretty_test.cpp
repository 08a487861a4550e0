// The live table: what it shows, and that it gives the terminal back (over a real pseudo terminal).
#include "engine/results/pretty.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/results/summary.h"

namespace {

using engine::Pretty;
using engine::QueueLedger;
using engine::Sink;

std::unique_ptr<Sink> no_sink() { return std::make_unique<Sink>("none", Sink::WhenFull::drop); }

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

bool contains(const std::string& text, std::string_view what) { return text.find(what) != std::string::npos; }

void add_packet(engine::SummaryPart& part) {
  engine_packet packet{};
  packet.ip_version = 4;
  packet.proto = 17;
  packet.src_port = 40000;
  packet.dst_port = 53;
  packet.len = 100;
  const std::uint8_t address[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  std::memcpy(&packet.src, address, sizeof address);
  part.add(packet);
}

engine::PrettyConfig one_queue() {
  return {[] {
            QueueLedger queue;
            queue.queue = 3;
            queue.mode = "copy";
            queue.cpu = 1;
            queue.xdp_seen = queue.redirected = 1'000'005;
            queue.rx_packets = queue.analysed = 1'000'000;
            queue.rx_ring_full = 5;
            return std::vector<QueueLedger>{queue};
          },
          true, -1};
}

TEST(Pretty, ShowsQueuesWithTheCausesOfLossAndTheSummary) {
  Pretty pretty(one_queue(), no_sink());
  engine::SummaryPart part;
  add_packet(part);
  pretty.summary({1'700'000'000'000'000'000, 1'700'000'001'000'000'000}, {"eth0"}, {}, part);
  pretty.flush();
  const std::vector<std::string> lines = pretty.screen(120, 40);
  const std::string text = joined(lines);
  EXPECT_TRUE(contains(lines[0], "engine eth0   2023-11-14 22:13:21 UTC   1 pps   800 bit/s")) << lines[0];
  EXPECT_TRUE(contains(text, "ring full")) << text;
  EXPECT_FALSE(contains(text, "blocked")) << "a cause that is zero everywhere";
  EXPECT_TRUE(contains(text, "    3  copy    1  1,000,000")) << text;
  EXPECT_TRUE(contains(text, "10.0.0.1        1    100      0")) << text;
  EXPECT_TRUE(contains(text, "udp      53        1    100")) << text;
  EXPECT_TRUE(contains(lines.back(), "dropped 5 | unaccounted 0")) << lines.back();
}

TEST(Pretty, StaysWithinTheWindow) {
  Pretty pretty(one_queue(), no_sink());
  engine::SummaryPart part;
  add_packet(part);
  pretty.summary({0, 1'000'000'000}, {"eth0"}, {}, part);
  for (int i = 0; i < 20; ++i) pretty.json(0, "plugin", "type", std::string(300, 'x'));
  pretty.flush();
  for (const auto& [width, height] : {std::pair<std::size_t, std::size_t>{20, 5}, {40, 10}, {80, 24}, {200, 60}}) {
    const std::vector<std::string> lines = pretty.screen(width, height);
    EXPECT_EQ(lines.size(), height);
    for (const std::string& line : lines) EXPECT_LE(line.size(), width);
  }
}

TEST(Pretty, LetsNoControlCharacterOfAPacketReachTheTerminal) {
  Pretty pretty({{}, true, -1}, no_sink());
  pretty.json(0, "p", "t", "\"name\":\"\x1b[2J\x07\xc3\xa9\"");
  plugins::RecordSchema schema{"r", {{"s", plugins::FieldType::string}}};
  const char values[] = "\x02\0\x1b]";
  pretty.record(0, 0, "p", schema, std::as_bytes(std::span(values, 4)));
  for (const std::string& line : pretty.screen(80, 24))
    EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c < 0x7f; })) << line;
}

TEST(Pretty, WritesPlainTextWithoutATerminal) {
  const std::string file = testing::TempDir() + "pretty_test." + std::to_string(::getpid());
  {
    engine::PrettyConfig config = one_queue();
    config.terminal = false;
    Pretty pretty(config, std::make_unique<Sink>(file, Sink::WhenFull::drop));
    pretty.flush();
    pretty.finish(100);
  }
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  ::unlink(file.c_str());
  EXPECT_TRUE(contains(text.str(), "1,000,000"));
  EXPECT_FALSE(contains(text.str(), "\x1b"));
}

TEST(Pretty, TakesTheScreenInItsSizeAndGivesItBack) {
  engine::UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
  if (!master.valid()) GTEST_SKIP() << "no pseudo terminal here";
  ASSERT_EQ(::grantpt(master.get()), 0);
  ASSERT_EQ(::unlockpt(master.get()), 0);
  const winsize size{12, 50, 0, 0};
  ASSERT_EQ(::ioctl(master.get(), TIOCSWINSZ, &size), 0);
  char name[64];
  ASSERT_EQ(::ptsname_r(master.get(), name, sizeof name), 0);
  engine::UniqueFd terminal(::open(name, O_RDWR | O_NOCTTY));
  ASSERT_TRUE(terminal.valid());

  const auto seen = [&] {
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = ::read(master.get(), buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<std::size_t>(n));
    return text;
  };
  engine::PrettyConfig config = one_queue();
  config.terminal_fd = terminal.get();
  Pretty pretty(config, std::make_unique<Sink>(name, Sink::WhenFull::drop));
  pretty.flush();
  const std::string first = seen();
  EXPECT_EQ(first.rfind("\x1b[?1049h", 0), 0u);
  EXPECT_EQ(std::count(first.begin(), first.end(), '\n'), 11) << "twelve rows";
  pretty.finish(1000);
  EXPECT_TRUE(contains(seen(), "\x1b[?25h\x1b[?1049l"));
  Pretty::restore(terminal.get());
  EXPECT_TRUE(contains(seen(), "\x1b[?1049l"));
}

TEST(Table, PutsBlocksSideBySideAsFarAsTheyFit) {
  const std::vector<std::vector<std::string>> blocks{{"aaaa", "a   "}, {"bbbb"}, {"cccc"}};
  EXPECT_EQ(engine::lay_out(blocks, 11, 10), (std::vector<std::string>{"aaaa   bbbb", "a          ", "", "cccc"}));
  EXPECT_EQ(engine::lay_out(blocks, 18, 10), (std::vector<std::string>{"aaaa   bbbb   cccc", "a                 "}));
  EXPECT_EQ(engine::lay_out(blocks, 11, 1).size(), 1u);
}

TEST(Table, TakesListsAndSingleValuesApart) {
  engine::TableVisitor visitor("p names");
  visitor.unsigned_number("estimate", 12345);
  visitor.begin_list("entries");
  visitor.begin_item();
  visitor.text("key", "x");
  visitor.unsigned_number("count", 1000);
  visitor.end_item();
  visitor.end_list();
  const std::vector<engine::Table> tables = visitor.take();
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0].rows, (std::vector<std::vector<std::string>>{{"estimate", "12,345"}}));
  EXPECT_EQ(engine::render(tables[1], 5), (std::vector<std::string>{"p names   ", "key  count", "x    1,000"}));
}

}  // namespace
