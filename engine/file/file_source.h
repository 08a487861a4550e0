// A capture file as a source: one reader thread deals the packets to the workers' queues by flow hash.
//
// The main thread opens the source, sets it up and starts a thread on run(); the workers read their queues to the end
// marker. The file's own time stamps are the run's time: the epoch is the first packet's, time never goes back (a
// stamp that does is clamped and counted), and what no packet falls into is skipped.
//
// Intervals are aligned to multiples of their length in UTC. Interval k ends when a packet of a later one comes; just
// before that packet every worker gets a tick, so that all of them cut at the same place. Only intervals that had a
// packet end; at the file's end the open ones do. Packets that the filter keeps out are not looked at for this.
//
// Progress is sent to all workers every 1,024 packets, and to those with room before the reader falls asleep: a
// collector that orders results by place can then always release what came before, which is what makes room again.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/file/capture_file.h"
#include "engine/file/file_queue.h"

namespace engine {

struct FileOptions {
  std::string path;    // "-": standard input
  std::string filter;  // libpcap's language, compiled for the file's link type; empty: every packet
  std::uint32_t workers = 1;
  std::uint64_t max_packets = 0;                   // end after so many that match; 0: no limit
  std::size_t queue_bytes = std::size_t{4} << 20;  // per worker, a power of two
  int interrupt_fd = -1;                           // the input ends when it becomes readable
  bool read_ahead = false;                         // by a thread of its own: there is a core for it
};

// What the reader counted. Exact once run() has returned, readable by others before.
struct FileCounts {
  std::atomic<std::uint64_t> records{0};       // packets read from the file
  std::atomic<std::uint64_t> passed{0};        // of these, not matched by the filter
  std::atomic<std::uint64_t> time_clamped{0};  // time stamps that went back, or that no clock shows
  std::atomic<std::uint64_t> cut{0};           // captured bytes beyond kMaxFrameBytes left out, the packet went on
};

class FileSource {
 public:
  // libpcap's own limit for the usual link types (MAXIMUM_SNAPLEN); some bus captures have more.
  static constexpr std::uint32_t kMaxFrameBytes = 262144;

  // Throws SetupError: bad_usage for a missing file, one that is no capture, and a filter that does not compile.
  explicit FileSource(const FileOptions& options);

  // The first packet's time, UTC ns; 0 for a file without packets.
  std::uint64_t epoch_ns() const noexcept { return epoch_ns_; }
  int datalink() const noexcept { return file_.datalink(); }
  std::uint16_t file_link_type() const { return file_.file_link_type(); }

  // The lengths of the intervals to be marked, before run(). Several marks at one packet keep the order given here.
  void set_intervals(const std::vector<std::uint64_t>& intervals_ns);

  FileQueue& queue(std::uint32_t worker) noexcept { return *lanes_[worker]->queue; }
  std::uint64_t handed(std::uint32_t worker) const noexcept {
    return lanes_[worker]->handed.load(std::memory_order_relaxed);
  }
  std::uint32_t workers() const noexcept { return static_cast<std::uint32_t>(lanes_.size()); }

  // For a single worker, which then reads for itself: run() calls `serve` on its own thread, for each batch, where it
  // wants room, and before it waits for input. `serve` empties the queue. Packets stay in the core's cache that way; to
  // hand each to another core costs more than most analyzers.
  void serve_between(std::function<void()> serve) { serve_ = std::move(serve); }

  // The reader thread's body: until the end of the file, stop(), or an unreadable place. Always ends every queue.
  void run() noexcept;
  // Ends run() soon, also while it waits for input. Any thread.
  void stop() noexcept;

  const FileCounts& counts() const noexcept { return counts_; }

  // After run(): throws SetupError(runtime_failure) if the file could not be read to its end.
  void throw_if_cut_off() const;

 private:
  struct Lane {
    std::unique_ptr<FileQueue> queue;
    std::atomic<std::uint64_t> handed{0};
    std::uint32_t unpublished = 0;
  };
  struct Interval {
    std::uint64_t length_ns;
    std::uint64_t index = 0;
    std::uint64_t end_ns = 0;  // of the interval that is open; 0 before the first packet
  };

  void take(const CapturedPacket& packet) noexcept;
  std::uint64_t advance_time(const CapturedPacket& packet) noexcept;
  void end_intervals(std::uint64_t now_ns) noexcept;
  void end_of_file() noexcept;
  Lane& lane_of(const CapturedPacket& packet, std::uint32_t caplen) noexcept;
  void broadcast(const FileMarker& marker) noexcept;
  std::span<std::byte> room_in(Lane& lane, std::size_t bytes) noexcept;
  void flush() noexcept;
  void show(Lane& lane) noexcept;
  void show_progress() noexcept;
  double since_epoch(std::uint64_t utc_ns) const noexcept { return static_cast<double>(utc_ns - epoch_ns_); }

  CaptureFile file_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Interval> intervals_;
  std::function<void()> serve_;  // empty: workers have threads of their own
  CapturedPacket first_;
  bool has_first_ = false;
  std::uint64_t max_packets_;
  bool read_ahead_;
  std::uint64_t epoch_ns_ = 0;
  std::uint64_t now_ns_ = 0;      // UTC, of the last packet that matched
  std::uint64_t place_ = 0;       // of the last packet that was read
  std::uint64_t taken_ = 0;       // matched
  std::uint64_t sent_place_ = 0;  // everything up to here is in a queue
  std::atomic<bool> stopped_{false};
  FileCounts counts_;
};

}  // namespace engine
