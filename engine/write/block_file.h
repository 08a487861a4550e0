// Where whole blocks of bytes go: a file, a FIFO or stdout. Gathers them and writes many at a time.
//
// Used by one thread at a time: the packet writer's, then the main thread's for the end. A disk that fills up leaves
// the file at the end of a block (what was written of the next one is cut off again); what was gathered waits, and is
// tried again at growing distances until there is room. A pipe is never waited for here, and gets no half block from a
// reader that is stuck: groups of blocks of up to PIPE_BUF bytes are taken entirely or not at all (POSIX, write()); a
// longer block goes out in pieces. Each write() holds whole blocks, so that a killed process leaves them whole as far
// as the kernel finished the last one (a fatal signal ends a long write at a page: generic_perform_write,
// mm/filemap.c).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "engine/base/unique_fd.h"
#include "engine/write/pcapng.h"

namespace engine {

class BlockFile {
 public:
  enum class State {
    good,
    failing,     // the last write failed: see failure(); tried again later
    reader_gone  // EPIPE: nobody reads any more; nothing is written from here on
  };
  using Write = std::function<ssize_t(int fd, const void* data, std::size_t bytes)>;

  static constexpr std::size_t kGroup_bytes = 256u << 10;   // gathered before a system call is worth it
  static constexpr std::size_t kMost_bytes = 1u << 20;      // gathered at most, but for one block
  static constexpr std::uint64_t kLatest_ns = 200'000'000;  // gathered for so long at most

  // `path`: "-" is stdout; else a file that is created or emptied. `input_path`: the file that packets are read from,
  // which must be another one; may be empty. Throws SetupError.
  BlockFile(const std::string& path, const std::string& input_path, Write write = ::write);

  // Whole blocks are appended here. Reserved: appending to less than kMost_bytes allocates for giant frames only.
  pcapng::Bytes& gathered() noexcept { return gathered_; }
  bool has_room() const noexcept { return gathered_.size() - taken_ < kMost_bytes; }

  // Writes what was gathered if that is enough or old enough; after a failure, if it is time to try again.
  void write_some(std::uint64_t now_ns) noexcept;
  void flush(std::uint64_t now_ns) noexcept;  // writes what was gathered now
  // Gives everything to the file or the reader, who gets until then (asked again while it waits); what is left is
  // dropped.
  void finish(const std::function<std::uint64_t()>& until_ns) noexcept;
  // As if the reader had gone.
  void give_up() noexcept;

  State state() const noexcept { return state_; }
  const std::string& failure() const noexcept { return failure_; }  // the system's words
  // What to poll for POLLOUT while a reader is slow; -1: nothing.
  int waiting_fd() const noexcept { return blocked_ ? fd_ : -1; }

  std::uint64_t packets() const noexcept { return packets_; }  // packet blocks written
  std::uint64_t bytes() const noexcept { return bytes_; }      // of whole blocks
  std::uint64_t dropped() const noexcept { return dropped_; }  // packet blocks that were gathered and not written

 private:
  void open_file(const std::string& path, const std::string& input_path);
  void adopt_stdout();
  std::size_t next_chunk() const noexcept;
  void wrote(std::size_t bytes) noexcept;
  void fail(int error, std::uint64_t now_ns) noexcept;
  void drop_gathered() noexcept;

  Write write_;
  UniqueFd owned_;  // empty where stdout itself has to be used
  int fd_ = -1;
  bool is_file_ = false;
  bool is_pipe_ = false;
  bool blocked_ = false;  // the reader takes nothing now
  pcapng::Bytes gathered_;
  std::size_t taken_ = 0;  // of gathered_, by the file
  std::size_t whole_ = 0;  // where the first block begins that is not written whole
  std::uint64_t since_ns_ = 0;
  std::uint64_t retry_ns_ = 0;
  std::uint64_t pause_ns_ = 0;
  State state_ = State::good;
  std::string failure_;
  std::uint64_t packets_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace engine
