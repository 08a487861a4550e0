// p:capture(): which packets a plugin chooses for the capture file, and what it says about them.
#include <gtest/gtest.h>

#include "plugins/marks.h"
#include "tests/plugins/lab.h"

namespace {

using plugins::Marks;

std::vector<std::string> comments_of(const Marks& marks, std::size_t packet) {
  std::vector<std::string> comments;
  marks.comments_of(packet, [&](std::string_view text) { comments.emplace_back(text); });
  return comments;
}

std::string comment_made_of(std::string_view text) {
  Marks marks;
  marks.begin(1);
  marks.comment(0, 0, text);
  return comments_of(marks, 0).at(0);
}

TEST(CaptureMarks, AreForgottenWithTheBatch) {
  Marks marks;
  marks.begin(4);
  EXPECT_TRUE(marks.mark(3));
  marks.comment(3, 0, "x");
  EXPECT_FALSE(marks.mark(4)) << "there is no such packet";
  marks.begin(4);
  EXPECT_FALSE(marks.any());
  EXPECT_TRUE(comments_of(marks, 3).empty());
}

TEST(CaptureMarks, KeepEachPluginsFirstComment) {
  Marks marks;
  marks.begin(2);
  marks.comment(1, 7, "first");
  marks.comment(1, 7, "again");
  marks.comment(1, 9, "other plugin");
  EXPECT_EQ(comments_of(marks, 1), (std::vector<std::string>{"first", "other plugin"}));
}

TEST(CaptureMarks, MakeValidTextOfAnyBytes) {
  EXPECT_EQ(comment_made_of("plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(comment_made_of("a\xff"), "a" + bad);
  EXPECT_EQ(comment_made_of("\xc0\xaf"), bad + bad) << "overlong";
  EXPECT_EQ(comment_made_of("\xed\xa0\x80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(comment_made_of("\xe2\x82"), bad + bad) << "cut off";
  EXPECT_EQ(comment_made_of(std::string_view("a\0\x1b[2J", 6)), "a" + bad + bad + "[2J");
}

TEST(CaptureMarks, CutLongCommentsBetweenCharactersAndCountThem) {
  Marks marks;
  marks.begin(1);
  std::string text(255, 'a');
  text += "\xc3\xa9";
  marks.comment(0, 0, text);
  EXPECT_EQ(comments_of(marks, 0).at(0), std::string(255, 'a'));
  EXPECT_EQ(marks.comments_cut(), 1u);
  marks.comment(0, 1, std::string(256, 'b'));
  EXPECT_EQ(marks.comments_cut(), 1u) << "this one fits";
}

TEST(CaptureMarks, ABatchHoldsSoMuchTextAndNoMore) {
  Marks marks;
  marks.begin(256);
  const std::string text(256, 'x');
  for (std::uint32_t plugin = 0; plugin < 4; ++plugin)
    for (std::size_t packet = 0; packet < 256; ++packet) marks.comment(packet, plugin, text);
  std::size_t kept = 0;
  for (std::size_t packet = 0; packet < 256; ++packet) kept += comments_of(marks, packet).size();
  EXPECT_EQ(kept, Marks::kText_bytes / 256);
  EXPECT_EQ(marks.comments_cut(), 4 * 256 - kept);
}

struct Capturing : lab::Lab {
  Capturing() { warm = true; }
  void load(std::string_view code) {
    spec.name = "test";
    spec.code = code;
    plugins::Binding with_marks = binding();
    with_marks.marks = &marks;
    state = std::make_unique<plugins::State>(spec, with_marks);
    fill(0);
  }
  void run(std::uint32_t count = lab::kCapacity) {
    marks.begin(count);
    state->run(count);
  }
  Marks marks;
};

TEST(Capture, MarksThePacketWithTheCommentInterpretedAndCompiled) {
  Capturing lab;
  lab.load(R"(
function on_packet(p)
  if p.dst_port == 53 and p:capture("dns " .. p.src_port) ~= true then error("refused") end
end)");
  for (int batch = 0; batch < 20; ++batch) {
    lab.run(64);
    for (std::size_t i = 0; i < 64; ++i) {
      ASSERT_EQ(lab.marks.has(i), lab.packets[i].dst_port == 53) << i;
      if (!lab.marks.has(i)) continue;
      ASSERT_EQ(comments_of(lab.marks, i), std::vector<std::string>{"dns " + std::to_string(lab.packets[i].src_port)});
    }
    lab.fill(static_cast<std::uint32_t>(batch));
  }
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  EXPECT_EQ(lab.state->statistics().capture_refused, 0u);
}

TEST(Capture, TakesAViewForAComment) {
  Capturing lab;
  lab.load("function on_packet(p) p:capture(p:view(32, 3)) end");
  lab.run(1);
  EXPECT_EQ(comments_of(lab.marks, 0), std::vector<std::string>{" !\""});
}

TEST(Capture, MarksThePacketItIsCalledOnInABatchToo) {
  Capturing lab;
  lab.load("function on_batch(b) local first, third = b[1], b[3] third:capture() end");
  lab.run(8);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(lab.marks.has(i), i == 2);
}

TEST(Capture, WithoutAFileIsRefusedAndCounted) {
  lab::Lab lab;
  lab.load("function on_packet(p) if p:capture('x') ~= false then error('taken') end end");
  lab.run(100);
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  EXPECT_EQ(lab.state->statistics().capture_refused, 100u);
}

TEST(Capture, OfAKeptPacketBetweenBatchesIsRefused) {
  Capturing lab;
  lab.load(R"(
local kept
function on_packet(p) kept = p end
function on_tick() if kept and kept:capture() then error("taken") end end)");
  lab.run(64);
  lab.marks.begin(0);
  lab.state->tick(0);
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  EXPECT_EQ(lab.state->statistics().capture_refused, 1u);
  EXPECT_FALSE(lab.marks.any());
}

TEST(Capture, OfSomethingThatIsNoPacketIsAnErrorWithThePluginsLine) {
  for (const char* self : {"{}", "nil", "7", "p:payload()", "p.src"}) {
    lab::Lab lab;
    const std::string error = lab.error_of("local capture = p.capture\ncapture(" + std::string(self) + ")");
    EXPECT_NE(error.find("eval:3: call it as p:capture(...)"), std::string::npos) << self << ": " << error;
  }
}

TEST(Capture, WithACommentThatIsNoTextIsAnError) {
  lab::Lab lab;
  const std::string error = lab.error_of("p:capture({})");
  EXPECT_NE(error.find("eval:2: capture: a comment is a string or a view, got a table"), std::string::npos) << error;
}

}  // namespace
