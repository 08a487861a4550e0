// A frame whose last byte is the last one of a readable page: the byte behind it is a fault, not a silent read. The
// page before is unreadable too.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>

#include "engine/decode/decode.h"

namespace test {

class GuardedPages {
 public:
  explicit GuardedPages(std::size_t max_bytes) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    readable_ = (max_bytes + page - 1) / page * page;
    mapped_ = readable_ + 2 * page;
    void* memory = ::mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap");
    base_ = static_cast<std::uint8_t*>(memory);
    if (::mprotect(base_ + page, readable_, PROT_READ | PROT_WRITE) != 0) throw std::runtime_error("mprotect");
    end_ = base_ + page + readable_;
  }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;
  ~GuardedPages() { ::munmap(base_, mapped_); }

  std::size_t capacity() const { return readable_; }

  // The bytes, copied so that they end where the readable memory ends.
  const std::uint8_t* place(std::span<const std::uint8_t> bytes) {
    if (bytes.size() > readable_) throw std::runtime_error("frame too long for the guarded pages");
    if (!bytes.empty()) std::memcpy(end_ - bytes.size(), bytes.data(), bytes.size());
    return end_ - bytes.size();
  }

 private:
  std::uint8_t* base_ = nullptr;
  std::uint8_t* end_ = nullptr;
  std::size_t readable_ = 0;
  std::size_t mapped_ = 0;
};

// The same frame as a batch of one, which has a shorter way for plain frames. Throws where that gives another packet.
inline void require_same_in_batch(const std::uint8_t* bytes, std::uint32_t caplen, engine_packet packet) {
  const engine::Arrival arrival{.time = 12345.5, .queue = 7, .interface = 9};
  engine_packet in_batch;
  std::memset(static_cast<void*>(&in_batch), 0x55, sizeof in_batch);
  engine::decode_batch(
      1, bytes, [&](std::uint32_t) { return engine::FrameSpan{.offset = 0, .caplen = caplen, .len = 70000}; },
      &in_batch, arrival);
  packet.time = arrival.time;
  packet.queue = arrival.queue;
  packet._interface = arrival.interface;
  packet.caplen = caplen;
  packet.len = 70000;
  if (std::memcmp(&packet, &in_batch, sizeof packet) != 0)
    throw std::runtime_error("a batch decodes this frame otherwise than the general way");
}

// Decodes at the guard page into a packet that was full of something else before: a field that is not written shows.
inline engine_packet decode_at_guard(std::span<const std::uint8_t> bytes,
                                     engine::LinkType link = engine::LinkType::ethernet) {
  static thread_local GuardedPages pages(1 << 18);
  engine_packet packet;
  std::memset(static_cast<void*>(&packet), 0xaa, sizeof packet);
  const std::uint8_t* placed = pages.place(bytes);
  const auto caplen = static_cast<std::uint32_t>(bytes.size());
  engine::decode_link(link, placed, caplen, packet);
  if (link == engine::LinkType::ethernet) require_same_in_batch(placed, caplen, packet);
  return packet;
}

// What holds for every packet, whatever the frame says; empty if all of it does.
inline const char* broken_promise(const engine_packet& p, std::size_t caplen) {
  if (std::size_t{p.payload_off} + p.payload_len > caplen) return "the payload ends behind the captured bytes";
  if (p.l3_off > caplen || p.l4_off > caplen) return "a header lies behind the captured bytes";
  if (p.l4_off != 0 && p.l4_off < p.l3_off + (p.ip_version == 4 ? 20 : 40)) return "the headers overlap";
  if (p.ip_version != 0 && p.ip_version != 4 && p.ip_version != 6) return "an IP version that there is not";
  if (p.ip_version == 0 && (p.proto != 0 || p.hash != 0 || p.l4_off != 0)) return "IP fields without IP";
  if (p.l4_off == 0 && (p.src_port | p.dst_port | p.tcp_flags | p.icmp_type) != 0) return "ports without a header";
  if (p.ip_version != 4 && (p.src4 | p.dst4) != 0) return "IPv4 addresses without IPv4";
  if (p.vlan > 4095 || p.inner_vlan > 4095) return "a VLAN identifier of more than 12 bits";
  return "";
}

}  // namespace test
