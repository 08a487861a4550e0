// Log lines for people, on stderr: results alone go to stdout.
//
// Any thread may log while it sets up or winds down; the packet loop counts instead. A line is written by one write(),
// so lines of several threads never mix (POSIX: atomic up to PIPE_BUF on a pipe; on files the position is shared).
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace engine::cli {

enum class LogLevel { error, warn, info, debug };

class Log {
 public:
  explicit Log(LogLevel level, int fd = 2) noexcept : level_(level), fd_(fd) {}
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  bool shows(LogLevel level) const noexcept { return level <= level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) noexcept { level_.store(level, std::memory_order_relaxed); }

  // "engine: warn: text"; info has no level word, as it is what the user expects to read. Control characters in the
  // text (a plugin's message may hold packet bytes) are shown as '?', so that nobody on the wire steers a terminal.
  void write(LogLevel level, std::string_view text) const noexcept;

  // While something else has the terminal (the live table): lines are kept, the first thousand, and written at release.
  void hold();
  void release();

  void error(std::string_view text) const noexcept { write(LogLevel::error, text); }
  void warn(std::string_view text) const noexcept { write(LogLevel::warn, text); }
  void info(std::string_view text) const noexcept { write(LogLevel::info, text); }
  void debug(std::string_view text) const noexcept { write(LogLevel::debug, text); }

 private:
  std::atomic<LogLevel> level_;  // relaxed: a late line more or less around a change does not matter
  int fd_;

  static constexpr std::size_t kMaxHeldLines = 1000;
  void put(std::string_view line) const noexcept;
  mutable std::mutex held_mutex_;
  mutable std::vector<std::string> held_;
  bool holding_ = false;
};

}  // namespace engine::cli
