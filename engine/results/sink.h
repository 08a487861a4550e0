// Where lines of text go: stdout, a file, a FIFO, or nowhere. Whole lines only, and never in the way of the capture.
//
// Used by the collector's thread alone, but for hurry(). A pipe or terminal is written to without blocking: stdout's
// O_NONBLOCK is shared with whoever else holds the pipe, so the sink reopens it through /proc/self/fd to have a file
// description of its own (sockets: MSG_DONTWAIT). What the reader does not take at once waits in a bounded backlog;
// what does not fit there is dropped as whole lines and counted (live), or waited for (files).
//
// Whole lines also when the reader gets stuck for good: a pipe takes a write of up to PIPE_BUF bytes entirely or not
// at all (POSIX, write()), so lines are grouped into writes of that size; a longer line waits until the pipe is empty
// and is then taken in one piece up to the pipe's capacity, which is raised when the sink opens.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/unique_fd.h"

namespace engine {

class Sink {
 public:
  enum class WhenFull {
    drop,  // live: a slow reader costs results
    wait,  // files: the source waits for the reader
  };
  enum class State {
    good,
    reader_gone,  // EPIPE: nobody reads any more; not an error
    failed,       // disk full or another I/O error; see failure()
  };

  static constexpr std::size_t kBacklogBytes = 8u << 20;

  // `where`: "-" stdout, "none" nowhere, else a file that is created or emptied. Throws SetupError.
  Sink(const std::string& where, WhenFull when_full, std::size_t backlog_bytes = kBacklogBytes);
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // One line with its newline. False: dropped, the reader is too slow or gone.
  bool write(std::string_view line) noexcept;

  // Gives the reader what it takes without waiting. True if nothing is left.
  bool flush() noexcept;

  // Gives the reader until then to take the backlog, then drops the rest (counted). Negative: as long as it takes,
  // or until hurry().
  void finish(int timeout_ms) noexcept;

  // Any thread: whoever waits for the reader, now or later, waits no longer than kHurry_ms from here on in sum.
  void hurry() noexcept { hurry_until_ns_.store(hurry_deadline(), std::memory_order_relaxed); }

  State state() const noexcept { return state_; }
  const std::string& failure() const noexcept { return failure_; }  // one line that names the file
  // What to poll for POLLOUT while there is a backlog; -1: nothing.
  int backlog_fd() const noexcept { return pending_bytes() == 0 || waits_for_empty_ ? -1 : fd_; }
  bool is_none() const noexcept { return fd_ < 0; }

  std::uint64_t lines() const noexcept { return lines_; }
  std::uint64_t lines_dropped() const noexcept { return dropped_; }

 private:
  enum class Kind { none, file, pipe, socket, other };

  static constexpr std::uint64_t kHurry_ms = 1000;
  static constexpr std::size_t kGroupBytes = 64u << 10;  // so much is gathered before it is worth a system call

  static std::uint64_t hurry_deadline() noexcept;
  void open_file(const std::string& where);
  void adopt_stdout();
  void detect_kind();
  std::size_t pending_bytes() const noexcept { return pending_.size() - taken_; }
  std::size_t next_chunk() noexcept;
  std::size_t whole_lines(std::size_t most) const noexcept;
  bool pipe_is_empty() const noexcept;
  bool write_some() noexcept;
  void wrote(std::size_t bytes) noexcept;
  bool wait_writable(std::uint64_t until_ns) noexcept;
  void fail(int error) noexcept;
  void drop_pending() noexcept;

  std::string name_;
  WhenFull when_full_;
  std::size_t backlog_bytes_;
  UniqueFd owned_;  // empty where stdout itself has to be used
  int fd_ = -1;
  Kind kind_ = Kind::none;
  std::size_t pipe_bytes_ = 0;       // the pipe's capacity
  bool non_blocking_ = false;        // the file description and its O_NONBLOCK are ours alone
  bool waits_for_empty_ = false;     // a long line is next and the pipe still holds something
  std::size_t open_line_bytes_ = 0;  // written of a line whose end is still pending
  std::string pending_;
  std::size_t taken_ = 0;  // of pending_
  State state_ = State::good;
  std::string failure_;
  std::uint64_t lines_ = 0;
  std::uint64_t dropped_ = 0;
  std::atomic<std::uint64_t> hurry_until_ns_{0};
};

}  // namespace engine
