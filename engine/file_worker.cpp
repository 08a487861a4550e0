#include "engine/file_worker.h"

#include "engine/clock.h"
#include "engine/decode/decode.h"

namespace engine {
namespace {

constexpr std::uint8_t kFromFile = 1;  // _ts_source

}  // namespace

void FileWorker::run() noexcept {
  analysis_.touch();
  for (bool more = true; more;) {
    if (serve()) continue;
    if (const auto marker = queue_.next_marker()) {
      more = take_marker(*marker);
    } else {
      queue_.wait();
    }
  }
  figures_.cpu_ns = thread_cpu_ns();
}

void FileWorker::run(FileSource& source) noexcept {
  analysis_.touch();
  source.serve_between([this] { serve_all(); });
  source.run();
  figures_.cpu_ns = thread_cpu_ns();
}

void FileWorker::serve_all() noexcept {
  for (bool more = true; more;) {
    while (serve()) {
    }
    const auto marker = queue_.next_marker();
    more = marker && take_marker(*marker);
  }
}

bool FileWorker::serve() noexcept {
  const FileBatch batch = queue_.receive(kBatchPackets);
  const std::uint32_t count = batch.size();
  if (count == 0) return false;
  engine_packet* packets = analysis_.packets();
  decode_batch(
      count, queue_.frames(),
      [&](std::uint32_t i) {
        const FileFrame frame = batch[i];
        return FrameSpan{frame.offset, frame.caplen, frame.len, frame.link};
      },
      packets);
  std::uint64_t* const times_ns = analysis_.times_ns();
  for (std::uint32_t i = 0; i < count; ++i) {
    const FileFrame frame = batch[i];
    if (times_ns != nullptr) times_ns[i] = frame.utc_ns;
    packets[i].time = frame.time;
    packets[i]._place = frame.place;
    packets[i]._ts_source = kFromFile;
    packets[i].len = frame.len;
    figures_.bytes += frame.len;
  }
  analysis_.run(count);
  figures_.analysed += count;
  analysis_.progress(packets[count - 1]._place);
  return true;
}

bool FileWorker::take_marker(const FileMarker& marker) noexcept {
  const std::uint64_t at_ns = analysis_.epoch_ns() + static_cast<std::uint64_t>(marker.time);
  switch (marker.kind) {
    case FileRecordKind::tick:
      analysis_.end_interval(marker.tick.interval_ns, marker.tick.index, at_ns, marker.place, marker.tick.last);
      return true;
    case FileRecordKind::progress:
      analysis_.progress(marker.place);
      return true;
    default:
      analysis_.stop(at_ns, marker.place);
      return false;
  }
}

}  // namespace engine
