#include "engine/file/file_source.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace engine {
namespace {

constexpr std::uint64_t kProgressPackets = 1024;
// A queue's records become visible after so many, and are announced whenever the reader is about to sleep.
constexpr std::uint32_t kPublishRecords = 64;
constexpr std::int64_t kNanoseconds = 1'000'000'000;
// Time stamps beyond this (the year 2200) are damage; it also keeps the arithmetic far from overflow.
constexpr std::int64_t kMaxSeconds = 7'258'118'400;

constexpr std::size_t padded(std::size_t bytes) noexcept { return (bytes + 7) & ~std::size_t{7}; }

void add(std::atomic<std::uint64_t>& counter) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // one writer
}

bool is_sane(const CapturedPacket& packet) noexcept {
  return packet.seconds >= 0 && packet.seconds <= kMaxSeconds && packet.nanoseconds >= 0 &&
         packet.nanoseconds <= kMaxSeconds;
}

std::uint64_t utc_ns(const CapturedPacket& packet) noexcept {
  return static_cast<std::uint64_t>(packet.seconds * kNanoseconds + packet.nanoseconds);
}

}  // namespace

FileSource::FileSource(const FileOptions& options)
    : file_(options.path, options.interrupt_fd), max_packets_(options.max_packets), read_ahead_(options.read_ahead) {
  if (!options.filter.empty()) file_.set_filter(options.filter);
  // A record may take half of a queue (spsc.h); the largest frame has to fit.
  const std::size_t queue_bytes = std::max(options.queue_bytes, std::size_t{1} << 20);
  static_assert(kMaxFrameBytes + sizeof(FileRecord) <= (1u << 20) / 2);
  for (std::uint32_t i = 0; i < std::max(options.workers, 1u); ++i) {
    auto lane = std::make_unique<Lane>();
    lane->queue = std::make_unique<FileQueue>(queue_bytes);
    lanes_.push_back(std::move(lane));
  }
  has_first_ = file_.next(first_);
  if (has_first_ && is_sane(first_)) epoch_ns_ = utc_ns(first_);
  now_ns_ = epoch_ns_;
}

void FileSource::set_intervals(const std::vector<std::uint64_t>& intervals_ns) {
  intervals_.clear();
  for (const std::uint64_t length_ns : intervals_ns) {
    const bool known = std::any_of(intervals_.begin(), intervals_.end(),
                                   [&](const Interval& interval) { return interval.length_ns == length_ns; });
    if (length_ns != 0 && !known) intervals_.push_back({length_ns});
  }
}

void FileSource::run() noexcept {
  file_.before_input([this] { show_progress(); });
  if (read_ahead_) file_.read_ahead();
  CapturedPacket packet = first_;
  bool more = has_first_;
  while (more && !stopped_.load(std::memory_order_relaxed)) {
    take(packet);
    if (max_packets_ != 0 && taken_ == max_packets_) break;
    more = file_.next(packet);
  }
  end_of_file();
}

// One packet: filter, clock, the marks that come before it, then into the queue of its flow's worker.
void FileSource::take(const CapturedPacket& packet) noexcept {
  ++place_;
  add(counts_.records);
  if (file_.matches(packet)) {
    ++taken_;
    end_intervals(advance_time(packet));

    const std::uint32_t caplen = std::min<std::uint32_t>(packet.header->caplen, kMaxFrameBytes);
    if (caplen != packet.header->caplen) add(counts_.cut);
    Lane& lane = lane_of(packet, caplen);
    const std::size_t bytes = padded(sizeof(FileRecord) + caplen);
    std::byte* room = room_in(lane, bytes).data();
    // Made in place: a copy would wait for the stores that it is made of (store forwarding takes no wider load).
    new (room) FileRecord{static_cast<std::uint32_t>(bytes),
                          FileRecordKind::packet,
                          file_.link(),
                          0,
                          caplen,
                          packet.header->len,
                          since_epoch(now_ns_),
                          static_cast<double>(place_),
                          is_sane(packet) ? utc_ns(packet) : now_ns_};
    std::memcpy(room + sizeof(FileRecord), packet.bytes, caplen);
    lane.queue->advance(bytes);
    add(lane.handed);
    if (++lane.unpublished >= kPublishRecords) show(lane);
  } else {
    add(counts_.passed);
  }
  sent_place_ = place_;
  if (place_ % kProgressPackets == 0)
    broadcast({FileRecordKind::progress, since_epoch(now_ns_), static_cast<double>(place_), {}});
}

std::uint64_t FileSource::advance_time(const CapturedPacket& packet) noexcept {
  if (!is_sane(packet) || utc_ns(packet) < now_ns_) {
    add(counts_.time_clamped);
  } else {
    now_ns_ = utc_ns(packet);
  }
  return now_ns_;
}

void FileSource::end_intervals(std::uint64_t now_ns) noexcept {
  for (Interval& interval : intervals_) {
    if (now_ns < interval.end_ns) continue;  // time never goes back
    const std::uint64_t index = now_ns / interval.length_ns;
    if (taken_ > 1 && index != interval.index) {
      broadcast({FileRecordKind::tick,
                 since_epoch(now_ns),
                 static_cast<double>(place_),
                 {interval.length_ns, interval.index, false}});
    }
    interval.index = index;
    interval.end_ns = (index + 1) * interval.length_ns;
  }
}

void FileSource::end_of_file() noexcept {
  const double time = since_epoch(now_ns_), place = static_cast<double>(place_ + 1);
  if (taken_ != 0) {
    for (const Interval& interval : intervals_)
      broadcast({FileRecordKind::tick, time, place, {interval.length_ns, interval.index, true}});
  }
  broadcast({FileRecordKind::end, time, place, {}});
  flush();
}

FileSource::Lane& FileSource::lane_of(const CapturedPacket& packet, std::uint32_t caplen) noexcept {
  if (lanes_.size() == 1) return *lanes_[0];
  engine_packet decoded;
  decode_link(file_.link(), packet.bytes, caplen, decoded);
  return *lanes_[decoded.hash % lanes_.size()];
}

namespace {

void write_marker(FileQueue& queue, std::span<std::byte> room, const FileMarker& marker) noexcept {
  const bool is_tick = marker.kind == FileRecordKind::tick;
  const std::size_t bytes = sizeof(FileRecord) + (is_tick ? sizeof(FileTick) : 0);
  const FileRecord head{
      static_cast<std::uint32_t>(bytes), marker.kind, LinkType::other, 0, 0, 0, marker.time, marker.place, 0};
  std::memcpy(room.data(), &head, sizeof head);
  if (is_tick) std::memcpy(room.data() + sizeof head, &marker.tick, sizeof marker.tick);
  queue.advance(bytes);
}

constexpr std::size_t kMaxMarkerBytes = sizeof(FileRecord) + sizeof(FileTick);

}  // namespace

void FileSource::broadcast(const FileMarker& marker) noexcept {
  for (const auto& lane : lanes_) {
    write_marker(*lane->queue, room_in(*lane, kMaxMarkerBytes), marker);
    ++lane->unpublished;
  }
}

std::span<std::byte> FileSource::room_in(Lane& lane, std::size_t bytes) noexcept {
  const std::span<std::byte> room = lane.queue->window(bytes);
  if (!room.empty()) return room;
  show_progress();  // a worker on this thread has emptied the queue by then
  return lane.queue->wait_for_window(bytes);
}

void FileSource::show(Lane& lane) noexcept {
  lane.unpublished = 0;
  lane.queue->show();
  if (serve_) serve_();
}

void FileSource::flush() noexcept {
  for (const auto& lane : lanes_) {
    lane->queue->publish();
    lane->unpublished = 0;
  }
  if (serve_) serve_();
}

// Before falling asleep. A queue without room needs no progress mark: its worker has packets to go on with.
void FileSource::show_progress() noexcept {
  const FileMarker progress{FileRecordKind::progress, since_epoch(now_ns_), static_cast<double>(sent_place_), {}};
  for (const auto& lane : lanes_) {
    const std::span<std::byte> room = lane->queue->window(kMaxMarkerBytes);
    if (room.empty()) continue;
    write_marker(*lane->queue, room, progress);
    ++lane->unpublished;
  }
  flush();
}

void FileSource::stop() noexcept {
  stopped_.store(true, std::memory_order_relaxed);
  file_.interrupt();
}

void FileSource::throw_if_cut_off() const {
  if (file_.failure().empty()) return;
  throw SetupError(ExitCode::runtime_failure, "read " + file_.name(), file_.failure(),
                   "the " + std::to_string(place_) + " packets before that place were analysed");
}

}  // namespace engine
