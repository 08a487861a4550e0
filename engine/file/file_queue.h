// The frames of a capture file on their way to one worker: the counterpart of xsk::RxQueue for files.
//
// One reader thread writes, one worker reads. Frames are analysed where they lie in the ring; a FileBatch lends them
// and its destructor gives the bytes back. Nothing is ever dropped: the reader waits for room, the worker for records,
// both asleep. Either side announces what it did by counting up an atomic and waking whoever waits on it; as the
// number is taken before the last look at the ring, no announcement can be missed in between.
//
// The worker's loop: receive() until it gives an empty batch; then next_marker(); if there is none, wait().
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/record.h"
#include "engine/spsc.h"

namespace engine {

class FileQueue;

// One frame: where it lies in the queue's memory (FileQueue::frames()) and what the file says about it.
struct FileFrame {
  std::uint64_t offset;
  std::uint32_t caplen;
  std::uint32_t len;
  LinkType link;
  double time;   // ns since the epoch
  double place;  // in the file, from 1
  std::uint64_t utc_ns;
};

class [[nodiscard]] FileBatch {
 public:
  FileBatch(FileBatch&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)), count_(other.count_), bytes_(other.bytes_) {}
  FileBatch& operator=(FileBatch&&) = delete;
  FileBatch(const FileBatch&) = delete;
  FileBatch& operator=(const FileBatch&) = delete;
  inline ~FileBatch();

  std::uint32_t size() const noexcept { return queue_ != nullptr ? count_ : 0; }
  bool empty() const noexcept { return size() == 0; }

  // Not on a temporary: its frames would be the reader's again before they are read.
  inline FileFrame operator[](std::uint32_t i) const& noexcept;
  FileFrame operator[](std::uint32_t i) const&& = delete;

 private:
  friend class FileQueue;
  FileBatch(FileQueue* queue, std::uint32_t count, std::size_t bytes) noexcept
      : queue_(queue), count_(count), bytes_(bytes) {}

  FileQueue* queue_;
  std::uint32_t count_;
  std::size_t bytes_;
};

// Pages of our own; only those that were used count as resident.
class QueueMemory {
 public:
  explicit QueueMemory(std::size_t bytes) : bytes_(bytes) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      throw SetupError(ExitCode::runtime_failure, "queue of " + std::to_string(bytes) + " bytes", std::strerror(errno));
    data_ = static_cast<std::byte*>(memory);
  }
  QueueMemory(const QueueMemory&) = delete;
  QueueMemory& operator=(const QueueMemory&) = delete;
  ~QueueMemory() { ::munmap(data_, bytes_); }

  std::span<std::byte> bytes() const noexcept { return {data_, bytes_}; }

 private:
  std::size_t bytes_;
  std::byte* data_;
};

class FileQueue {
 public:
  static constexpr std::uint32_t kMaxBatch = 256;

  // `capacity_bytes`: a power of two, at most 2 GiB (packets' _off has 32 bits). A record may have half of it.
  explicit FileQueue(std::size_t capacity_bytes) : memory_(capacity_bytes), ring_(memory_.bytes()) {}
  FileQueue(const FileQueue&) = delete;
  FileQueue& operator=(const FileQueue&) = delete;

  std::size_t capacity_bytes() const noexcept { return ring_.capacity(); }

  // --- the worker -------------------------------------------------------------------------------------------------

  // What the offsets of frames count from.
  const std::uint8_t* frames() const noexcept { return reinterpret_cast<const std::uint8_t*>(memory_.bytes().data()); }

  // Up to `max` frames (at most kMaxBatch); a batch ends before a marker. One batch at a time.
  inline FileBatch receive(std::uint32_t max) noexcept;

  // The marker that comes next, taken out; none if a frame or nothing comes next.
  inline std::optional<FileMarker> next_marker() noexcept;

  // Sleeps until there is something to receive. Only where receive() and next_marker() gave nothing.
  inline void wait() noexcept;

  // Frames handed out by receive(): counted here, the reader counts what it wrote.
  std::uint64_t rx_packets() const noexcept { return rx_packets_.load(std::memory_order_relaxed); }

  // --- the reader -------------------------------------------------------------------------------------------------

  // Room for a record of `bytes` (a multiple of 8), empty if the worker has to make some first. advance() over what
  // was written; show() to make it visible, publish() to wake the worker for it too. A worker that sleeps is woken by
  // show() only for a quarter of the ring: what it is faster with than the reader must not cost both a switch each
  // time.
  std::span<std::byte> window(std::size_t bytes) noexcept { return ring_.window(bytes); }
  void advance(std::size_t bytes) noexcept {
    ring_.advance(bytes);
    unannounced_records_bytes_ += bytes;
  }
  inline void show() noexcept;
  inline void publish() noexcept;

  // Sleeps until the worker has made room for `bytes` after all; everything must have been published before.
  inline std::span<std::byte> wait_for_window(std::size_t bytes) noexcept;

 private:
  friend class FileBatch;
  inline void give_back(std::size_t bytes) noexcept;
  inline void announce_room() noexcept;
  const FileRecord& record_at(std::size_t offset) const noexcept {
    return *reinterpret_cast<const FileRecord*>(memory_.bytes().data() + offset);
  }
  static void announce(std::atomic<std::uint32_t>& number) noexcept {
    // seq_cst: the store must come before the look at the waiters inside notify_one().
    number.fetch_add(1, std::memory_order_seq_cst);
    number.notify_one();
  }

  QueueMemory memory_;
  SpscRing ring_;
  std::size_t unannounced_records_bytes_ = 0;  // the reader's own

  alignas(128) std::atomic<std::uint32_t> records_{0};  // counted up by the reader: records were published
  alignas(128) std::atomic<std::uint32_t> room_{0};     // counted up by the worker: bytes were given back

  // The worker's own.
  alignas(128) std::size_t unannounced_bytes_ = 0;
  std::atomic<std::uint64_t> rx_packets_{0};
  std::array<std::uint32_t, kMaxBatch> offsets_;  // of the heads of the batch that is out
};

inline FileBatch::~FileBatch() {
  if (queue_ != nullptr && bytes_ != 0) queue_->give_back(bytes_);
}

inline FileFrame FileBatch::operator[](std::uint32_t i) const& noexcept {
  const std::uint32_t offset = queue_->offsets_[i];
  const FileRecord& record = queue_->record_at(offset);
  return {
      offset + sizeof(FileRecord), record.caplen, record.len, record.link, record.time, record.place, record.utc_ns};
}

inline FileBatch FileQueue::receive(std::uint32_t max) noexcept {
  const std::span<const std::byte> readable = ring_.readable();
  const auto start = static_cast<std::size_t>(readable.data() - memory_.bytes().data());
  const std::uint32_t limit = std::min(max, kMaxBatch);
  std::uint32_t count = 0;
  std::size_t bytes = 0;
  while (count < limit && bytes < readable.size()) {
    const FileRecord& record = record_at(start + bytes);
    if (record.kind != FileRecordKind::packet) break;
    __builtin_prefetch(reinterpret_cast<const std::byte*>(&record) + 64);  // the frame's second line
    offsets_[count++] = static_cast<std::uint32_t>(start + bytes);
    bytes += record.length;
  }
  if (count == 0) return {nullptr, 0, 0};
  rx_packets_.store(rx_packets_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  return {this, count, bytes};
}

inline std::optional<FileMarker> FileQueue::next_marker() noexcept {
  const std::span<const std::byte> readable = ring_.readable();
  if (readable.empty()) return std::nullopt;
  FileRecord record;
  std::memcpy(&record, readable.data(), sizeof record);
  if (record.kind == FileRecordKind::packet) return std::nullopt;
  FileMarker marker{record.kind, record.time, record.place, {}};
  if (record.kind == FileRecordKind::tick)
    std::memcpy(&marker.tick, readable.data() + sizeof record, sizeof marker.tick);
  give_back(record.length);
  return marker;
}

inline void FileQueue::wait() noexcept {
  announce_room();  // the reader may be asleep for want of it
  const std::uint32_t seen = records_.load(std::memory_order_acquire);
  if (!ring_.readable().empty()) return;
  records_.wait(seen, std::memory_order_acquire);
}

inline void FileQueue::show() noexcept {
  if (unannounced_records_bytes_ >= ring_.capacity() / 4) return publish();
  ring_.publish();
}

inline void FileQueue::publish() noexcept {
  ring_.publish();
  if (unannounced_records_bytes_ == 0) return;
  unannounced_records_bytes_ = 0;
  announce(records_);
}

inline std::span<std::byte> FileQueue::wait_for_window(std::size_t bytes) noexcept {
  for (;;) {
    const std::uint32_t seen = room_.load(std::memory_order_acquire);
    const std::span<std::byte> room = ring_.window(bytes);
    if (!room.empty()) return room;
    room_.wait(seen, std::memory_order_acquire);
  }
}

// A sleeping reader is woken for a quarter of the ring at once, or when the worker has nothing left: not per batch,
// which would cost both threads a context switch each time.
inline void FileQueue::give_back(std::size_t bytes) noexcept {
  ring_.consume(bytes);
  unannounced_bytes_ += bytes;
  if (unannounced_bytes_ >= ring_.capacity() / 4) announce_room();
}

inline void FileQueue::announce_room() noexcept {
  if (unannounced_bytes_ == 0) return;
  unannounced_bytes_ = 0;
  announce(room_);
}

}  // namespace engine
