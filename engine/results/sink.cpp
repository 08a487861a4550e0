#include "engine/results/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "engine/base/error.h"
#include "engine/clock.h"

namespace engine {
namespace {

// More room in the pipe makes long lines fit in one piece. 1 MiB is what anyone may ask for (fs.pipe-max-size).
constexpr int kPipeBytes = 1 << 20;
// Where a terminal cannot be made non-blocking: what n_tty guarantees room for when it polls writable
// (WAKEUP_CHARS in drivers/tty/n_tty.c).
constexpr std::size_t kTerminalBytes = 256;
constexpr int kSlice_ms = 50;  // how soon a wait notices hurry()

constexpr std::uint64_t kNever = UINT64_MAX;

}  // namespace

Sink::Sink(const std::string& where, WhenFull when_full, std::size_t backlog_bytes)
    : name_(where == "-" ? "stdout" : where), when_full_(when_full), backlog_bytes_(backlog_bytes) {
  if (where == "none") return;
  if (where == "-") {
    adopt_stdout();
  } else {
    open_file(where);
  }
  detect_kind();
}

std::uint64_t Sink::hurry_deadline() noexcept { return monotonic_ns() + kHurry_ms * 1'000'000; }

void Sink::open_file(const std::string& where) {
  owned_.reset(::open(where.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666));
  if (!owned_.valid()) {
    const int error = errno;
    const bool users = error == ENOENT || error == ENOTDIR || error == EISDIR || error == EACCES || error == EPERM;
    throw SetupError(users ? ExitCode::bad_usage : ExitCode::runtime_failure, "open " + where, std::strerror(error),
                     "choose another file for the results");
  }
  fd_ = owned_.get();
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);  // means nothing to a regular file
  non_blocking_ = true;
}

void Sink::adopt_stdout() {
  fd_ = STDOUT_FILENO;
  struct stat status {};
  if (::fstat(fd_, &status) != 0) {
    throw SetupError(ExitCode::bad_usage, "stdout", std::strerror(errno), "give it a reader or use --output");
  }
  if (S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode)) return;
  // Fails for a pipe of another user's; then poll() and small writes have to do.
  owned_.reset(::open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!owned_.valid()) return;
  fd_ = owned_.get();
  non_blocking_ = true;
}

void Sink::detect_kind() {
  struct stat status {};
  ::fstat(fd_, &status);
  kind_ = S_ISREG(status.st_mode)    ? Kind::file
          : S_ISFIFO(status.st_mode) ? Kind::pipe
          : S_ISSOCK(status.st_mode) ? Kind::socket
                                     : Kind::other;
  if (kind_ != Kind::pipe) return;
  ::fcntl(fd_, F_SETPIPE_SZ, kPipeBytes);  // may be refused: then it stays as it is
  pipe_bytes_ = static_cast<std::size_t>(std::max(::fcntl(fd_, F_GETPIPE_SZ), PIPE_BUF));
}

bool Sink::pipe_is_empty() const noexcept {
  int held_bytes = 0;
  return ::ioctl(fd_, FIONREAD, &held_bytes) == 0 && held_bytes == 0;
}

// The longest run of whole pending lines of at most `most` bytes; 0 if the first line alone is longer.
std::size_t Sink::whole_lines(std::size_t most) const noexcept {
  if (pending_bytes() <= most) return pending_bytes();
  const std::size_t end = pending_.rfind('\n', taken_ + most - 1);
  return end == std::string::npos || end < taken_ ? 0 : end + 1 - taken_;
}

// How much to offer in one write so that no half line can be left behind; 0: not now.
std::size_t Sink::next_chunk() noexcept {
  waits_for_empty_ = false;
  switch (kind_) {
    case Kind::file:
      return std::min<std::size_t>(pending_bytes(), 1u << 20);
    case Kind::socket:
      return std::min(pending_bytes(), kGroupBytes);
    case Kind::other:
      return std::min(pending_bytes(), non_blocking_ ? kGroupBytes : kTerminalBytes);
    default:
      break;
  }
  if (open_line_bytes_ == 0) {
    if (const std::size_t atomic = whole_lines(PIPE_BUF)) return atomic;
  }
  if (!pipe_is_empty()) {
    waits_for_empty_ = true;
    pollfd end{fd_, 0, 0};  // POLLERR needs no asking: the reader has gone
    if (::poll(&end, 1, 0) > 0 && (end.revents & POLLERR) != 0) fail(EPIPE);
    return 0;
  }
  const std::size_t line = pending_.find('\n', taken_) + 1 - taken_;
  return std::min(line, pipe_bytes_);
}

// One write. False: the reader takes nothing now, or the sink is no longer good.
bool Sink::write_some() noexcept {
  const std::size_t bytes = next_chunk();
  if (bytes == 0) return false;
  if (kind_ != Kind::file && kind_ != Kind::socket && !non_blocking_) {
    pollfd ready{fd_, POLLOUT, 0};
    if (::poll(&ready, 1, 0) <= 0) return false;
  }
  const char* data = pending_.data() + taken_;
  const ssize_t written =
      kind_ == Kind::socket ? ::send(fd_, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) : ::write(fd_, data, bytes);
  if (written < 0) {
    if (errno == EINTR) return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) fail(errno);
    return false;
  }
  wrote(static_cast<std::size_t>(written));
  return true;
}

void Sink::wrote(std::size_t bytes) noexcept {
  const std::string_view text(pending_.data() + taken_, bytes);
  const std::size_t end = text.rfind('\n');
  open_line_bytes_ = end == std::string_view::npos ? open_line_bytes_ + bytes : bytes - end - 1;
  taken_ += bytes;
  if (taken_ == pending_.size()) {
    pending_.clear();
    taken_ = 0;
  } else if (taken_ >= backlog_bytes_ / 2) {
    pending_.erase(0, taken_);
    taken_ = 0;
  }
}

bool Sink::flush() noexcept {
  while (state_ == State::good && pending_bytes() != 0 && write_some()) {
  }
  return pending_bytes() == 0;
}

// Waits for the reader until then. False: time is up, or hurry() cut it short.
bool Sink::wait_writable(std::uint64_t until_ns) noexcept {
  const std::uint64_t hurry = hurry_until_ns_.load(std::memory_order_relaxed);  // relaxed: a time, guards nothing
  if (hurry != 0) until_ns = std::min(until_ns, hurry);
  const std::uint64_t now = monotonic_ns();
  if (now >= until_ns) return false;
  const std::uint64_t left_ms = (until_ns - now) / 1'000'000 + 1;
  // No event tells that a pipe has become empty: looked at each millisecond.
  const std::uint64_t slice_ms = waits_for_empty_ ? 1 : kSlice_ms;
  pollfd ready{fd_, static_cast<short>(waits_for_empty_ ? 0 : POLLOUT), 0};
  ::poll(&ready, 1, static_cast<int>(std::min(left_ms, slice_ms)));
  return true;
}

bool Sink::write(std::string_view line) noexcept {
  if (kind_ == Kind::none) {
    ++lines_;
    return true;
  }
  const auto fits = [&] { return pending_bytes() == 0 || pending_bytes() + line.size() <= backlog_bytes_; };
  while (state_ == State::good && !fits()) {
    if (write_some()) continue;
    if (when_full_ == WhenFull::drop || state_ != State::good || !wait_writable(kNever)) break;
  }
  if (state_ != State::good || !fits()) {
    ++dropped_;
    return false;
  }
  pending_.append(line);
  ++lines_;
  if (pending_bytes() >= kGroupBytes) flush();
  return true;
}

void Sink::finish(int timeout_ms) noexcept {
  const std::uint64_t until_ns =
      timeout_ms < 0 ? kNever : monotonic_ns() + static_cast<std::uint64_t>(timeout_ms) * 1'000'000;
  while (!flush() && state_ == State::good && wait_writable(until_ns)) {
  }
  drop_pending();
}

void Sink::drop_pending() noexcept {
  const auto begin = pending_.begin() + static_cast<std::ptrdiff_t>(taken_);
  const std::uint64_t lines = static_cast<std::uint64_t>(std::count(begin, pending_.end(), '\n'));
  lines_ -= lines;
  dropped_ += lines;
  pending_.clear();
  taken_ = 0;
}

void Sink::fail(int error) noexcept {
  if (error == EPIPE || error == ECONNRESET) {
    state_ = State::reader_gone;
  } else {
    state_ = State::failed;
    failure_ = "write " + name_ + ": " + std::strerror(error) + "; the results that follow are lost";
  }
  // A disk that filled up took a part of a line: the file ends with the last whole one.
  if (kind_ == Kind::file && open_line_bytes_ != 0) {
    const off_t end = ::lseek(fd_, 0, SEEK_CUR) - static_cast<off_t>(open_line_bytes_);
    if (end >= 0 && ::ftruncate(fd_, end) == 0) ::lseek(fd_, end, SEEK_SET);
  }
  drop_pending();
}

}  // namespace engine
