// An input in blocks; on demand a thread reads ahead, so that the kernel's copying goes on beside whoever takes the
// bytes apart.
//
// One thread takes blocks. In front of each there is room for what it left of the one before, so that it finds both in
// one piece.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>

namespace engine {

class BlockReader {
 public:
  // Reads up to `bytes` to `buffer`; 0 at the end, negative with errno set where it cannot be read.
  using Read = ssize_t (*)(void* cookie, char* buffer, std::size_t bytes);

  // What is left of a block is at most `most_left_bytes`.
  BlockReader(Read read, void* cookie, std::size_t most_left_bytes);
  ~BlockReader();  // a read that goes on must have been ended from outside
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;

  // From here on a thread reads, with the caller's rights and signals. Where none is to be had everything stays as it
  // is.
  void read_ahead() noexcept;
  // Called by the taking thread before it reads, or waits for who does.
  void before_wait(std::function<void()> callback) { before_wait_ = std::move(callback); }

  struct Bytes {
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;  // no more than was left: the end
    int error = 0;         // errno, where it cannot be read any further
  };
  // What was left of the last bytes, and the next block behind it. The last bytes are gone then.
  Bytes next(std::span<const std::uint8_t> left) noexcept;

 private:
  // A read takes so much: large enough to forget its cost, small enough to stay in the caches.
  static constexpr std::size_t kBlock_bytes = 256 * 1024;
  static constexpr std::uint32_t kBlocks = 4;

  struct Block {
    std::unique_ptr<std::uint8_t[]> memory;  // room for what was left, then the block
    ssize_t bytes = 0;
    int error = 0;
  };

  std::uint8_t* begin_of(Block& block) const noexcept { return block.memory.get() + most_left_bytes_; }
  void allocate(Block& block) const;
  void fill(Block& block) noexcept;
  void run() noexcept;

  Read read_;
  void* cookie_;
  std::size_t most_left_bytes_;
  std::function<void()> before_wait_;
  std::array<Block, kBlocks> blocks_;
  std::thread thread_;  // not running: whoever takes reads by itself, into the first block
  std::uint32_t taken_ = 0;
  bool holds_first_ = false;  // something was taken before there was a thread
  bool ended_ = false;
  int error_ = 0;
  // Counts of blocks; by the thread, and by the taker.
  alignas(64) std::atomic<std::uint32_t> filled_{0};
  alignas(64) std::atomic<std::uint32_t> given_back_{0};
  std::atomic<bool> stopped_{false};
};

}  // namespace engine
