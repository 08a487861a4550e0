// Sinks against real pipes and files, with readers that are slow, stuck or gone.
#include "engine/results/sink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "engine/base/error.h"

namespace {

using engine::Sink;
using engine::UniqueFd;

std::string number_line(std::uint64_t number, std::size_t bytes) {
  std::string line = std::to_string(number) + " ";
  line.append(bytes - line.size() - 1, 'x');
  return line + "\n";
}

// Reads what there is until the end of the pipe or, with a pipe that is still open, until it is empty.
std::string read_all(int fd) {
  std::string text;
  char buffer[1 << 16];
  for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
  return text;
}

std::uint64_t count_lines(const std::string& text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

class SinkTest : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    read_.reset(ends[0]);
    write_.reset(ends[1]);
    path_ = "/proc/self/fd/" + std::to_string(write_.get());
    file_ = testing::TempDir() + "sink_test." + std::to_string(::getpid());
  }
  void TearDown() override { ::unlink(file_.c_str()); }

  std::string file_text() const {
    std::ostringstream text;
    text << std::ifstream(file_).rdbuf();
    return text.str();
  }

  UniqueFd read_, write_;
  std::string path_, file_;
};

TEST_F(SinkTest, WritesAFileAndReplacesWhatWasThere) {
  std::ofstream(file_) << "old content that is longer\n";
  Sink sink(file_, Sink::WhenFull::drop);
  EXPECT_TRUE(sink.write("a\n"));
  EXPECT_TRUE(sink.write("b\n"));
  EXPECT_TRUE(sink.flush());
  EXPECT_EQ(file_text(), "a\nb\n");
  EXPECT_EQ(sink.lines(), 2u);
}

TEST_F(SinkTest, CountsButWritesNothingForNone) {
  Sink sink("none", Sink::WhenFull::drop);
  EXPECT_TRUE(sink.write("a\n"));
  EXPECT_EQ(sink.lines(), 1u);
  EXPECT_EQ(sink.backlog_fd(), -1);
}

TEST_F(SinkTest, NamesAFileItCannotCreate) {
  try {
    Sink sink("/nonexistent/directory/out.jsonl", Sink::WhenFull::drop);
    FAIL() << "opened";
  } catch (const engine::SetupError& error) {
    EXPECT_EQ(error.code(), engine::ExitCode::bad_usage);
    EXPECT_NE(std::string(error.what()).find("/nonexistent/directory/out.jsonl: No such file"), std::string::npos);
  }
}

// Line lengths below and above what a pipe takes at once, and above what it takes at all.
class StuckReader : public SinkTest, public testing::WithParamInterface<std::size_t> {};

TEST_P(StuckReader, CostsWholeLinesThatAreCounted) {
  constexpr std::uint64_t kLines = 20;
  const std::size_t bytes = GetParam();
  const std::uint64_t lines = std::max<std::uint64_t>(kLines, (4u << 20) / bytes);
  Sink sink(path_, Sink::WhenFull::drop, 1 << 20);
  std::uint64_t taken = 0;
  for (std::uint64_t i = 0; i < lines; ++i) taken += sink.write(number_line(i, bytes)) ? 1 : 0;
  EXPECT_LT(taken, lines);
  sink.finish(100);  // comes back, though nobody reads
  EXPECT_EQ(sink.lines() + sink.lines_dropped(), lines);
  EXPECT_EQ(sink.state(), Sink::State::good);

  ::fcntl(read_.get(), F_SETFL, O_NONBLOCK);
  const std::string text = read_all(read_.get());
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(text.size() % bytes, 0u) << "a half line was left";
  EXPECT_EQ(count_lines(text), sink.lines());
}

INSTANTIATE_TEST_SUITE_P(Lengths, StuckReader, testing::Values(40, 1000, 4096, 4097, 70'000, 900'000));

TEST_F(SinkTest, WaitsForASlowReaderWhenTold) {
  constexpr std::uint64_t kLines = 5000;
  std::string text, expected;
  std::thread reader;
  {
    Sink sink(path_, Sink::WhenFull::wait, 1 << 16);
    write_.reset();  // now the sink's end is the last one
    reader = std::thread([&] { text = read_all(read_.get()); });
    for (std::uint64_t i = 0; i < kLines; ++i) {
      expected += number_line(i, i % 100 == 0 ? 20'000 : 300);
      EXPECT_TRUE(sink.write(number_line(i, i % 100 == 0 ? 20'000 : 300)));
    }
    sink.finish(-1);
    EXPECT_EQ(sink.lines(), kLines);
    EXPECT_EQ(sink.lines_dropped(), 0u);
  }
  reader.join();
  EXPECT_EQ(text, expected);
}

TEST_F(SinkTest, StopsWaitingForAStuckReaderOnceHurried) {
  Sink sink(path_, Sink::WhenFull::wait, 1 << 16);
  std::thread signal([&] { sink.hurry(); });
  for (std::uint64_t i = 0; i < 3000; ++i) sink.write(number_line(i, 1000));
  sink.finish(-1);
  signal.join();
  EXPECT_GT(sink.lines_dropped(), 0u);
  EXPECT_EQ(sink.lines() + sink.lines_dropped(), 3000u);
}

TEST_F(SinkTest, TellsThatTheReaderHasGone) {
  Sink sink(path_, Sink::WhenFull::drop);
  read_.reset();
  sink.write("a\n");
  sink.flush();
  EXPECT_EQ(sink.state(), Sink::State::reader_gone);
  EXPECT_FALSE(sink.write("b\n"));
  EXPECT_TRUE(sink.failure().empty());
}

TEST_F(SinkTest, TellsThatTheReaderHasGoneAlsoWhileALongLineWaits) {
  Sink sink(path_, Sink::WhenFull::drop);
  sink.write("short\n");
  sink.flush();
  sink.write(number_line(1, 10'000));
  sink.flush();  // waits for the pipe to be empty
  read_.reset();
  sink.flush();
  EXPECT_EQ(sink.state(), Sink::State::reader_gone);
}

TEST_F(SinkTest, NamesAFullDisk) {
  Sink sink("/dev/full", Sink::WhenFull::drop);
  sink.write("a\n");
  sink.flush();
  EXPECT_EQ(sink.state(), Sink::State::failed);
  EXPECT_NE(sink.failure().find("/dev/full: No space left on device"), std::string::npos) << sink.failure();
  EXPECT_EQ(sink.lines_dropped(), 1u);
}

// RLIMIT_FSIZE makes a write fall short within a line, as a disk that fills up does.
TEST_F(SinkTest, LeavesNoHalfLineInAFileThatCannotGrow) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  Sink sink(file_, Sink::WhenFull::drop);
  rlimit small = before;
  small.rlim_cur = 10'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  for (std::uint64_t i = 0; i < 100; ++i) sink.write(number_line(i, 300));
  sink.finish(100);
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(sink.state(), Sink::State::failed);
  EXPECT_EQ(file_text().size(), 9900u);
  EXPECT_EQ(sink.lines_dropped() + sink.lines(), 100u);
}

TEST_F(SinkTest, DoesNotMakeASharedStdoutNonBlocking) {
  std::fflush(stdout);
  UniqueFd saved(::dup(STDOUT_FILENO));
  ASSERT_EQ(::dup2(write_.get(), STDOUT_FILENO), STDOUT_FILENO);
  {
    Sink sink("-", Sink::WhenFull::drop);
    sink.write("a\n");
    sink.finish(100);
  }
  const int flags = ::fcntl(STDOUT_FILENO, F_GETFL);
  ::dup2(saved.get(), STDOUT_FILENO);
  EXPECT_EQ(flags & O_NONBLOCK, 0);
  char text[8] = {};
  EXPECT_EQ(::read(read_.get(), text, sizeof text), 2);
  EXPECT_STREQ(text, "a\n");
}

}  // namespace
