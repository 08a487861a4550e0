#include "engine/cli/log.h"

#include <unistd.h>

#include <cerrno>
#include <exception>
#include <string>

namespace engine::cli {
namespace {

std::string_view prefix(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::error:
      return "engine: error: ";
    case LogLevel::warn:
      return "engine: warn: ";
    case LogLevel::debug:
      return "engine: debug: ";
    case LogLevel::info:
      break;
  }
  return "engine: ";
}

}  // namespace

void Log::write(LogLevel level, std::string_view text) const noexcept try {
  if (!shows(level)) return;
  std::string line(prefix(level));
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    line.push_back(byte < 0x20 || byte == 0x7f ? (c == '\t' ? ' ' : '?') : c);
  }
  line.push_back('\n');
  const std::lock_guard lock(held_mutex_);
  if (holding_) {
    if (held_.size() < kMaxHeldLines) held_.push_back(std::move(line));
    return;
  }
  put(line);
} catch (const std::exception&) {
  // Out of memory for a log line: the line is given up, the capture is not.
}

void Log::hold() {
  const std::lock_guard lock(held_mutex_);
  holding_ = true;
}

void Log::release() {
  const std::lock_guard lock(held_mutex_);
  holding_ = false;
  for (const std::string& line : held_) put(line);
  held_.clear();
}

void Log::put(std::string_view line) const noexcept {
  const char* rest = line.data();
  std::size_t left = line.size();
  while (left > 0) {
    const ssize_t written = ::write(fd_, rest, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nobody reads: nothing sensible is left to do with the line
    rest += written;
    left -= static_cast<std::size_t>(written);
  }
}

}  // namespace engine::cli
