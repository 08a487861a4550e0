#include "engine/file/block_reader.h"

#include <pthread.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

namespace engine {

BlockReader::BlockReader(Read read, void* cookie, std::size_t most_left_bytes)
    : read_(read), cookie_(cookie), most_left_bytes_(most_left_bytes) {
  allocate(blocks_[0]);
}

BlockReader::~BlockReader() {
  if (!thread_.joinable()) return;
  stopped_ = true;
  given_back_.fetch_add(1, std::memory_order_release);  // else it would not be woken
  given_back_.notify_one();
  thread_.join();
}

void BlockReader::allocate(Block& block) const {
  block.memory = std::make_unique_for_overwrite<std::uint8_t[]>(most_left_bytes_ + kBlock_bytes);
}

void BlockReader::read_ahead() noexcept {
  if (ended_ || thread_.joinable()) return;
  try {
    for (Block& block : blocks_)
      if (!block.memory) allocate(block);
    taken_ = holds_first_;
    filled_ = taken_;
    thread_ = std::thread([this] { run(); });
  } catch (const std::bad_alloc&) {
  } catch (const std::system_error&) {
  }
}

void BlockReader::fill(Block& block) noexcept {
  block.bytes = read_(cookie_, reinterpret_cast<char*>(begin_of(block)), kBlock_bytes);
  block.error = block.bytes < 0 ? errno : 0;
}

void BlockReader::run() noexcept {
  pthread_setname_np(pthread_self(), "read ahead");
  for (std::uint32_t filled = filled_.load(std::memory_order_relaxed);; ++filled) {
    for (std::uint32_t back; filled - (back = given_back_.load(std::memory_order_acquire)) >= kBlocks && !stopped_;)
      given_back_.wait(back, std::memory_order_acquire);
    if (stopped_) return;
    Block& block = blocks_[filled % kBlocks];
    fill(block);
    const bool last = block.bytes <= 0;
    filled_.store(filled + 1, std::memory_order_release);
    filled_.notify_one();
    if (last) return;
  }
}

BlockReader::Bytes BlockReader::next(std::span<const std::uint8_t> left) noexcept {
  if (ended_) return {left.data(), left.size(), error_};
  const bool reads_itself = !thread_.joinable();
  if (before_wait_ && (reads_itself || filled_.load(std::memory_order_acquire) == taken_)) before_wait_();
  if (!reads_itself) filled_.wait(taken_, std::memory_order_acquire);
  Block& block = blocks_[reads_itself ? 0 : taken_ % kBlocks];
  std::uint8_t* const begin = begin_of(block) - left.size();
  if (!left.empty()) std::memmove(begin, left.data(), left.size());  // where it reads itself, from behind it
  if (reads_itself) {
    fill(block);
    holds_first_ = true;
  } else {
    given_back_.store(taken_++, std::memory_order_release);
    given_back_.notify_one();
  }
  ended_ = block.bytes <= 0;
  error_ = block.error;
  return {begin, left.size() + (ended_ ? 0 : static_cast<std::size_t>(block.bytes)), error_};
}

}  // namespace engine
