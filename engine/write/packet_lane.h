// A worker's end of --write: copies the frames that are to be written into a ring, which the packet writer empties.
//
// Owned by the packet writer, used by the worker's thread (the producer's part) and the writer's (the ring's other
// end). Live, a full ring costs the file a packet, which is counted and noted in the file; over a capture file the
// worker waits for room.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "engine/spsc.h"
#include "plugins/abi.h"
#include "plugins/marks.h"

namespace engine {

enum class PacketRecordKind : std::uint32_t {
  packet,
  progress,  // of a file: everything of this worker up to `place` has been sent
};

// The head of a record in the ring. The frame lies behind it, then each comment as its length (16 bits) and its text.
struct PacketRecord {
  std::uint32_t length;  // of the whole record, a multiple of 8
  PacketRecordKind kind;
  std::uint32_t caplen;
  std::uint32_t len;
  std::uint64_t time_ns;  // UTC
  double place;
  std::uint32_t queue;
  std::uint32_t lost;  // packets of this worker's that found no room since the one before
  std::uint32_t comments;
  std::uint16_t interface;  // its place in the file
  bool outgoing;
  std::uint8_t unused;
};
static_assert(sizeof(PacketRecord) == 48);

// How workers over a capture file wait for room in their rings.
struct RoomSignal {
  std::atomic<std::uint32_t> made{0};  // counted up by the writer: some ring has room again
  int wake_fd = -1;                    // an eventfd, written when a worker begins to wait
};

struct PacketLaneConfig {
  std::size_t ring_bytes = 8u << 20;
  bool marked_only = false;     // --capture-only
  bool tells_progress = false;  // files with several workers
  RoomSignal* room = nullptr;   // files; null: a full ring drops
};

class PacketLane {
 public:
  explicit PacketLane(const PacketLaneConfig& config);

  // --- the worker -------------------------------------------------------------------------------------------------

  // Where the frames lie and when time begins: before the first packet.
  void begin(const std::uint8_t* frames, std::uint64_t epoch_ns) noexcept;
  plugins::Marks& marks() noexcept { return marks_; }
  // Over a capture file: the batch's time stamps, UTC, set before offer().
  std::uint64_t* times_ns() noexcept { return times_ns_.data(); }

  // The batch that all plugins have seen.
  void offer(const engine_packet* packets, std::uint32_t count) noexcept;
  void progress(double place) noexcept;
  // Nothing comes any more.
  void finish() noexcept { ended_.store(true, std::memory_order_release); }

  std::uint64_t dropped() const noexcept { return dropped_; }

  // --- the writer -------------------------------------------------------------------------------------------------

  SpscRing& ring() noexcept { return ring_; }
  // acquire: with the release in finish(), the whole ring is visible; so look at the ring afterwards.
  bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }

 private:
  void push(const engine_packet& packet, std::size_t place) noexcept;
  std::byte* room_for(std::size_t bytes) noexcept;
  std::byte* wait_for_room(std::size_t bytes) noexcept;

  PacketLaneConfig config_;
  SpscRing ring_;
  const std::uint8_t* frames_ = nullptr;
  std::uint64_t epoch_ns_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint32_t lost_ = 0;  // not yet told
  std::atomic<bool> ended_{false};
  std::array<std::uint64_t, plugins::Marks::kMaxPackets> times_ns_{};
  plugins::Marks marks_;
};

}  // namespace engine
