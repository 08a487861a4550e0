// From captured bytes to engine_packet. Pure functions: any thread, no state, no allocation, nothing read outside the
// captured bytes, every byte of the packet written each time.
//
// What is decoded: up to two VLAN tags, IPv4 with options, IPv6 with up to 8 extension headers, fragments, TCP, UDP,
// UDP-Lite, SCTP ports, ICMP and ICMPv6. A frame that is anything else, is cut off or lies about its lengths is a
// packet all the same: its lengths and the headers before that point are filled, the rest is 0.
//   l3_off, l4_off      where the headers lie; 0 if there is none (a later fragment has no l4_off)
//   payload_off, _len   what was captured behind the last header that was decoded; the padding that Ethernet adds
//                       behind the IP total length does not count
//   is_fragment         any part of a fragmented datagram; ports only in the first
//   hash                over addresses, protocol and ports; over addresses and protocol for every fragment, so that the
//                       parts of a datagram stay together; 0 if the packet is not IP
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/decode/bytes.h"
#include "engine/decode/plain.h"
#include "plugins/abi.h"

namespace engine {

// What a frame begins with. Live frames are Ethernet; the others occur in capture files (libpcap's link-layer types).
enum class LinkType : std::uint8_t {
  ethernet,
  linux_cooked,   // LINKTYPE_LINUX_SLL: 16 bytes, the protocol at the end
  linux_cooked2,  // LINKTYPE_LINUX_SLL2: 20 bytes, the protocol first
  ip,             // LINKTYPE_RAW, _IPV4, _IPV6: the IP header itself
  loopback,       // LINKTYPE_NULL, _LOOP: 4 bytes of address family
  other           // lengths only
};

// One frame of a batch, within the memory that the batch's frames share.
struct FrameSpan {
  std::uint64_t offset;  // bytes from the base
  std::uint32_t caplen;
  std::uint32_t len = 0;  // on the wire; 0: as captured
  LinkType link = LinkType::ethernet;
};

// Fill all fields that the bytes tell. Those they don't tell are the caller's and left 0: time, _place, _off, len,
// caplen, queue, rss_hash, _ts_source.
void decode_frame(const std::uint8_t* frame, std::uint32_t caplen, engine_packet& packet) noexcept;
void decode_link(LinkType link, const std::uint8_t* frame, std::uint32_t caplen, engine_packet& packet) noexcept;

// How many frames ahead of the one being decoded are fetched. Six decodes cover a miss to the shared cache; with many
// more, frames evict each other: at a stride of 2 KiB they all fall into two sets of the L1 cache
// (bench/decode_bench.cpp).
inline constexpr std::uint32_t kPrefetchFrames = 6;

// The frame by the general way, with what is the caller's.
inline void decode_generally(const std::uint8_t* base, const FrameSpan& frame, Arrival arrival,
                             engine_packet& packet) noexcept {
  if (frame.link == LinkType::ethernet) {
    decode_frame(base + frame.offset, frame.caplen, packet);
  } else {
    decode_link(frame.link, base + frame.offset, frame.caplen, packet);
  }
  packet._off = static_cast<std::uint32_t>(frame.offset);
  packet.caplen = frame.caplen;
  packet.len = frame.len != 0 ? frame.len : frame.caplen;
  packet.time = arrival.time;
  packet.queue = arrival.queue;
  packet._interface = arrival.interface;
}

#ifdef __x86_64__
template <class FrameAt>
[[gnu::target("ssse3")]] inline void decode_mostly_plain(std::uint32_t count, const std::uint8_t* base,
                                                         const FrameAt& frame_at, engine_packet* packets,
                                                         Arrival arrival) noexcept {
  const PlainArrival plain(arrival);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i + kPrefetchFrames < count) __builtin_prefetch(base + frame_at(i + kPrefetchFrames).offset);
    const FrameSpan& frame = frame_at(i);  // a reference where there is one: a copy would go through the stack
    const Frame bytes{base + frame.offset, frame.link == LinkType::ethernet ? frame.caplen : 0};
    const std::uint32_t len = frame.len != 0 ? frame.len : frame.caplen;
    if (!decode_plain(bytes, frame.offset, len, plain, packets[i])) decode_generally(base, frame, arrival, packets[i]);
  }
}
#endif

// packets[i] = the frame at base + frame_at(i).offset, with _off, len, caplen and what `arrival` says.
template <class FrameAt>
inline void decode_batch(std::uint32_t count, const std::uint8_t* base, const FrameAt& frame_at, engine_packet* packets,
                         const Arrival& arrival = {}) noexcept {
  const std::uint32_t first = std::min(count, kPrefetchFrames);
  for (std::uint32_t i = 0; i < first; ++i) __builtin_prefetch(base + frame_at(i).offset);
#ifdef __x86_64__
  if (kHasPlainDecode) return decode_mostly_plain(count, base, frame_at, packets, arrival);
#endif
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i + kPrefetchFrames < count) __builtin_prefetch(base + frame_at(i + kPrefetchFrames).offset);
    decode_generally(base, frame_at(i), arrival, packets[i]);
  }
}

}  // namespace engine
