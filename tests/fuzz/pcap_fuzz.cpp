// Any bytes as a capture file: read to the end, dealt to two queues, decoded, and every packet accounted for.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "engine/base/unique_fd.h"
#include "engine/file/file_source.h"
#include "tests/decode/guarded_frame.h"

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

// Takes everything out of a queue that has been ended; returns the number of packets.
std::uint64_t drain(engine::FileQueue& queue) {
  static std::array<engine_packet, 64> packets;
  std::uint64_t count = 0;
  double time = 0, place = 0;
  for (;;) {
    const engine::FileBatch batch = queue.receive(64);
    if (batch.empty()) {
      const auto marker = queue.next_marker();
      require(marker.has_value(), "the queue ends without an end marker");
      require(marker->time >= time && marker->place >= place, "a marker goes back");
      if (marker->kind == engine::FileRecordKind::end) return count;
      continue;
    }
    engine::decode_batch(
        batch.size(), queue.frames(),
        [&](std::uint32_t i) {
          const engine::FileFrame frame = batch[i];
          return engine::FrameSpan{frame.offset, frame.caplen, frame.len, frame.link};
        },
        packets.data());
    for (std::uint32_t i = 0; i < batch.size(); ++i) {
      const engine::FileFrame frame = batch[i];
      require(frame.time >= time && frame.place > place, "time or place goes back");
      time = frame.time;
      place = frame.place;
      require(*test::broken_promise(packets[i], frame.caplen) == '\0', "decode broke a promise");
    }
    count += batch.size();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // All records of so short a file fit into the queues: the reader never waits, one thread is enough.
  if (size > 65536) return 0;
  const engine::UniqueFd file(::memfd_create("capture", MFD_CLOEXEC));
  require(::write(file.get(), data, size) == static_cast<ssize_t>(size), "write");
  ::lseek(file.get(), 0, SEEK_SET);
  engine::FileOptions options;
  options.path = "/proc/self/fd/" + std::to_string(file.get());
  options.workers = 2;
  options.queue_bytes = std::size_t{1} << 20;
  try {
    engine::FileSource source(options);
    source.set_intervals({1'000'000'000, 10'000'000});
    source.run();
    const std::uint64_t taken = drain(source.queue(0)) + drain(source.queue(1));
    require(taken == source.counts().records && taken == source.handed(0) + source.handed(1), "a packet got lost");
  } catch (const engine::SetupError&) {
  }
  return 0;
}
