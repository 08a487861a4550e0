// What the reader of a capture file sends to a worker: frames and markers, in the file's order, through one byte ring
// per worker. `place` is a packet's number in the file, from 1; everything that is said carries one, which makes the
// order of all workers' results independent of how many there are.
#pragma once

#include <cstdint>

#include "engine/decode/decode.h"

namespace engine {

enum class FileRecordKind : std::uint16_t {
  packet,    // a frame follows
  tick,      // an interval ended; `place` is the packet that closed it (at the file's end: one behind the last)
  progress,  // everything up to `place` that is this worker's has been sent
  end        // nothing follows
};

// The head of a record; a frame lies directly behind it. All in host order.
struct FileRecord {
  std::uint32_t length;  // of the whole record, a multiple of 8
  FileRecordKind kind;
  LinkType link;
  std::uint8_t unused;
  std::uint32_t caplen;  // bytes behind the head
  std::uint32_t len;     // bytes on the wire
  double time;           // ns since the run's epoch; never goes back
  double place;
  std::uint64_t utc_ns;  // of a packet: as the file says it
};
static_assert(sizeof(FileRecord) == 40);

// A marker as the worker gets it, and what lies behind the head of a tick.
struct FileTick {
  std::uint64_t interval_ns;  // which of the intervals that were asked for
  std::uint64_t index;        // of the interval that ended: floor(UTC ns / interval_ns)
  bool last = false;          // since the file has ended
};

struct FileMarker {
  FileRecordKind kind = FileRecordKind::end;
  double time = 0;  // of the packet that caused it, ns since the epoch
  double place = 0;
  FileTick tick{};  // ticks only
};

}  // namespace engine
