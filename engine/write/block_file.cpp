#include "engine/write/block_file.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/base/error.h"
#include "engine/clock.h"

namespace engine {
namespace {

constexpr std::uint64_t kFirstPause_ns = 100'000'000;
constexpr std::uint64_t kLongestPause_ns = 2'000'000'000;
constexpr int kSlice_ms = 20;         // how soon the end notices that it is to hurry
constexpr int kPipe_bytes = 1 << 20;  // anyone may ask for it (fs.pipe-max-size)

bool is_same_file(int fd, const std::string& path) {
  struct stat one {
  }, other{};
  const int status = path == "-" ? ::fstat(STDIN_FILENO, &other) : ::stat(path.c_str(), &other);
  return status == 0 && ::fstat(fd, &one) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

}  // namespace

BlockFile::BlockFile(const std::string& path, const std::string& input_path, Write write) : write_(std::move(write)) {
  if (path == "-") {
    adopt_stdout();
  } else {
    open_file(path, input_path);
  }
  struct stat status {};
  ::fstat(fd_, &status);
  is_file_ = S_ISREG(status.st_mode);
  is_pipe_ = S_ISFIFO(status.st_mode);
  if (is_pipe_) ::fcntl(fd_, F_SETPIPE_SZ, kPipe_bytes);  // may be refused: then it stays as it is
  gathered_.reserve(kMost_bytes + kGroup_bytes);
}

void BlockFile::open_file(const std::string& path, const std::string& input_path) {
  owned_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666));
  if (!owned_.valid()) {
    const int error = errno;
    const bool users = error == ENOENT || error == ENOTDIR || error == EISDIR || error == EACCES || error == EPERM;
    throw SetupError(users ? ExitCode::bad_usage : ExitCode::runtime_failure, "open " + path, std::strerror(error),
                     "choose another file for the packets");
  }
  fd_ = owned_.get();
  // Looked at before it is emptied: a mistake must not cost the capture.
  if (!input_path.empty() && is_same_file(fd_, input_path)) {
    throw SetupError(ExitCode::bad_usage, "--write " + path, "is the file that packets are read from",
                     "write to another one");
  }
  struct stat status {};
  if (::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode) && ::ftruncate(fd_, 0) != 0)
    throw SetupError(ExitCode::runtime_failure, "empty " + path, std::strerror(errno));
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);  // means nothing to a regular file
}

// stdout's O_NONBLOCK is shared with whoever else holds it: reopened to have one of our own, where that works.
void BlockFile::adopt_stdout() {
  fd_ = STDOUT_FILENO;
  struct stat status {};
  if (::fstat(fd_, &status) != 0) {
    throw SetupError(ExitCode::bad_usage, "stdout", std::strerror(errno), "give it a reader or name a file");
  }
  if (::isatty(fd_) == 1)
    throw SetupError(ExitCode::bad_usage, "--write -", "stdout is a terminal", "pipe it into a program or name a file");
  if (S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode)) return;
  owned_.reset(::open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (owned_.valid()) fd_ = owned_.get();
}

void BlockFile::write_some(std::uint64_t now_ns) noexcept {
  if (state_ == State::reader_gone) return drop_gathered();
  const std::size_t waiting = gathered_.size() - taken_;
  if (waiting == 0) return;
  if (since_ns_ == 0) since_ns_ = now_ns;
  if (state_ == State::failing ? now_ns < retry_ns_ : waiting < kGroup_bytes && now_ns - since_ns_ < kLatest_ns) return;
  flush(now_ns);
}

// How much to offer in one write: whole blocks, or the rest of one that was begun.
std::size_t BlockFile::next_chunk() const noexcept {
  if (!is_pipe_) return gathered_.size() - taken_;
  std::size_t end = whole_;
  while (end < gathered_.size()) {
    const std::size_t next = end + pcapng::block_bytes(gathered_.data() + end);
    if (end > taken_ && next - taken_ > PIPE_BUF) break;
    end = next;
    if (end - taken_ >= PIPE_BUF) break;
  }
  return end - taken_;
}

void BlockFile::flush(std::uint64_t now_ns) noexcept {
  blocked_ = false;
  while (taken_ < gathered_.size()) {
    const ssize_t written = write_(fd_, gathered_.data() + taken_, next_chunk());
    if (written > 0) {
      wrote(static_cast<std::size_t>(written));
      continue;
    }
    const int error = written < 0 ? errno : EIO;  // 0 for a request of more is no answer that a file has
    if (error == EINTR) continue;
    if (error == EAGAIN) {
      blocked_ = true;
      return;
    }
    return fail(error, now_ns);
  }
  gathered_.clear();
  taken_ = whole_ = 0;
  since_ns_ = 0;
  pause_ns_ = 0;
  state_ = State::good;
}

void BlockFile::wrote(std::size_t bytes) noexcept {
  taken_ += bytes;
  while (whole_ < taken_) {
    const std::byte* const block = gathered_.data() + whole_;
    const std::size_t length = pcapng::block_bytes(block);
    if (whole_ + length > taken_) break;
    packets_ += pcapng::is_packet_block(block);
    bytes_ += length;
    whole_ += length;
  }
  if (whole_ < kMost_bytes / 2) return;
  gathered_.erase(gathered_.begin(), gathered_.begin() + static_cast<std::ptrdiff_t>(whole_));
  taken_ -= whole_;
  whole_ = 0;
}

void BlockFile::fail(int error, std::uint64_t now_ns) noexcept {
  if (error == EPIPE || error == ECONNRESET) return give_up();
  if (is_file_ && taken_ != whole_) {
    const off_t end = ::lseek(fd_, 0, SEEK_CUR) - static_cast<off_t>(taken_ - whole_);
    // Where that fails, the rest of the block follows once there is room, and the file is whole again.
    if (end >= 0 && ::ftruncate(fd_, end) == 0 && ::lseek(fd_, end, SEEK_SET) == end) taken_ = whole_;
  }
  if (state_ == State::good) failure_ = std::strerror(error);
  state_ = State::failing;
  pause_ns_ = std::clamp(pause_ns_ * 2, kFirstPause_ns, kLongestPause_ns);
  retry_ns_ = now_ns + pause_ns_;
}

void BlockFile::give_up() noexcept {
  state_ = State::reader_gone;
  drop_gathered();
}

void BlockFile::drop_gathered() noexcept {
  for (std::size_t at = whole_; at < gathered_.size(); at += pcapng::block_bytes(gathered_.data() + at))
    dropped_ += pcapng::is_packet_block(gathered_.data() + at);
  gathered_.clear();
  taken_ = whole_ = 0;
  blocked_ = false;
}

void BlockFile::finish(const std::function<std::uint64_t()>& until_ns) noexcept {
  for (;;) {
    if (state_ != State::reader_gone) flush(monotonic_ns());
    if (!blocked_ || monotonic_ns() >= until_ns()) break;
    pollfd ready{fd_, POLLOUT, 0};
    ::poll(&ready, 1, kSlice_ms);
  }
  drop_gathered();
}

}  // namespace engine
