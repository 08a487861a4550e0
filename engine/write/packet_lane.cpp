#include "engine/write/packet_lane.h"

#include <sys/eventfd.h>

#include <cstring>

namespace engine {

PacketLane::PacketLane(const PacketLaneConfig& config) : config_(config), ring_(config.ring_bytes) {}

void PacketLane::begin(const std::uint8_t* frames, std::uint64_t epoch_ns) noexcept {
  frames_ = frames;
  epoch_ns_ = epoch_ns;
}

void PacketLane::offer(const engine_packet* packets, std::uint32_t count) noexcept {
  if (!config_.marked_only || marks_.any()) {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!config_.marked_only || marks_.has(i)) push(packets[i], i);
    }
    ring_.publish();
  }
  marks_.begin(0);
}

// Null: there is none, and it is not waited for.
std::byte* PacketLane::room_for(std::size_t bytes) noexcept {
  const std::span<std::byte> room = ring_.window(bytes);
  if (!room.empty()) return room.data();
  return config_.room != nullptr ? wait_for_room(bytes) : nullptr;
}

std::byte* PacketLane::wait_for_room(std::size_t bytes) noexcept {
  ring_.publish();
  for (;;) {
    // Before the look at the ring: room that is made after it changes the number, and the wait ends.
    const std::uint32_t seen = config_.room->made.load(std::memory_order_acquire);
    const std::span<std::byte> room = ring_.window(bytes);
    if (!room.empty()) return room.data();
    eventfd_write(config_.room->wake_fd, 1);
    config_.room->made.wait(seen, std::memory_order_acquire);
  }
}

void PacketLane::push(const engine_packet& packet, std::size_t place) noexcept {
  std::size_t bytes = sizeof(PacketRecord) + packet.caplen;
  std::uint32_t comments = 0;
  marks_.comments_of(place, [&](std::string_view text) {
    bytes += sizeof(std::uint16_t) + text.size();
    ++comments;
  });
  bytes = (bytes + 7) / 8 * 8;
  std::byte* to = room_for(bytes);
  if (to == nullptr) {
    ++dropped_;
    ++lost_;
    return;
  }
  const std::uint64_t live_ns = epoch_ns_ + static_cast<std::uint64_t>(static_cast<std::int64_t>(packet.time));
  const PacketRecord head{.length = static_cast<std::uint32_t>(bytes),
                          .kind = PacketRecordKind::packet,
                          .caplen = packet.caplen,
                          .len = packet.len,
                          .time_ns = config_.room != nullptr ? times_ns_[place] : live_ns,
                          .place = packet._place,
                          .queue = packet.queue,
                          .lost = lost_,
                          .comments = comments,
                          .interface = packet._interface,
                          .outgoing = packet.outgoing,
                          .unused = 0};
  std::memcpy(to, &head, sizeof head);
  std::memcpy(to + sizeof head, frames_ + packet._off, packet.caplen);
  to += sizeof head + packet.caplen;
  marks_.comments_of(place, [&](std::string_view text) {
    const auto length = static_cast<std::uint16_t>(text.size());
    std::memcpy(to, &length, sizeof length);
    std::memcpy(to + sizeof length, text.data(), text.size());
    to += sizeof length + text.size();
  });
  ring_.advance(bytes);
  lost_ = 0;
}

void PacketLane::progress(double place) noexcept {
  if (!config_.tells_progress) return;
  PacketRecord head{};
  head.length = sizeof head;
  head.kind = PacketRecordKind::progress;
  head.place = place;
  std::memcpy(room_for(sizeof head), &head, sizeof head);
  ring_.advance(sizeof head);
  ring_.publish();
}

}  // namespace engine
