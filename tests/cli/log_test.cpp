// Log lines: levels, and whole lines from many threads.
#include "engine/cli/log.h"

#include <set>
#include <sstream>
#include <thread>

#include "tests/cli/support.h"

namespace {

using engine::cli::Log;
using engine::cli::LogLevel;

std::string written_by(const std::function<void(int)>& work) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  std::string text;
  std::thread reader([&] {
    char buffer[4096];
    ssize_t size = 0;
    while ((size = read(ends[0], buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<std::size_t>(size));
  });
  work(ends[1]);
  close(ends[1]);
  reader.join();
  close(ends[0]);
  return text;
}

TEST(Log, ShowsWhatItsLevelAllows) {
  const std::string text = written_by([](int fd) {
    Log log(LogLevel::warn, fd);
    log.error("one");
    log.warn("two");
    log.info("three");
    log.set_level(LogLevel::debug);
    log.info("four");
    log.debug("five");
  });
  EXPECT_EQ(text, "engine: error: one\nengine: warn: two\nengine: four\nengine: debug: five\n");
}

TEST(Log, LetsNoControlCharactersThrough) {
  const std::string text = written_by([](int fd) { Log(LogLevel::info, fd).info("a\x1b[2Jb\nc\td\x7f\xc3\xa4"); });
  EXPECT_EQ(text, "engine: a?[2Jb?c d?\xc3\xa4\n");
}

TEST(Log, KeepsLinesWhileSomethingElseHasTheTerminal) {
  const std::string text = written_by([](int fd) {
    Log log(LogLevel::info, fd);
    log.hold();
    log.error("one");
    log.info("two");
    EXPECT_EQ(::write(fd, "table\n", 6), 6);
    log.release();
    log.info("three");
  });
  EXPECT_EQ(text, "table\nengine: error: one\nengine: two\nengine: three\n");
}

TEST(Log, KeepsLinesOfManyThreadsWhole) {
  constexpr int threads = 4;
  constexpr int lines = 500;
  const std::string text = written_by([](int fd) {
    const Log log(LogLevel::info, fd);
    std::vector<std::thread> writers;
    for (int t = 0; t < threads; ++t) {
      writers.emplace_back([&log, t] {
        for (int i = 0; i < lines; ++i) log.info(std::to_string(t) + ":" + std::to_string(i) + std::string(100, 'x'));
      });
    }
    for (std::thread& writer : writers) writer.join();
  });
  std::set<std::string> seen;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) seen.insert(line);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(threads * lines));
  for (const std::string& line : seen)
    EXPECT_EQ(line.substr(0, 8) + line.substr(line.size() - 100), "engine: " + std::string(100, 'x'));
}

}  // namespace
