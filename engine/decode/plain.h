// The frames that most traffic is made of, decoded by rearranging bytes: untagged Ethernet, IPv4 without options, no
// fragment, UDP or TCP. Internal to decode; what the fields mean is decode.h's matter, and for every frame that is
// taken here the packet is the same, byte for byte, as by the general way (tests/decode/plain_test.cpp).
//
// The general way clears the packet and writes field by field, some thirty stores of which a core commits one a cycle.
// Where all headers lie at known places, most fields are bytes of the frame in another order: three loads of 16 bytes,
// and a byte shuffle (SSSE3, in every x86 processor since 2008) for each 16 bytes of the packet.
#pragma once

#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/decode/bytes.h"
#include "engine/decode/hash.h"
#include "plugins/abi.h"

namespace engine {

// What is known of a packet before its bytes are looked at.
struct Arrival {
  double time = 0;
  std::uint16_t queue = 0;
  std::uint16_t interface = 0;
};

}  // namespace engine

#ifdef __x86_64__
#include <tmmintrin.h>

namespace engine {

#define ENGINE_PLAIN [[gnu::target("ssse3"), gnu::always_inline]] inline

inline const bool kHasPlainDecode = __builtin_cpu_supports("ssse3");

inline constexpr std::size_t kPlainIpAt = 14, kPlainL4At = 34, kPlainLeast_bytes = kPlainL4At + 20;

struct PlainFrame {
  Frame frame;
  std::uint64_t offset;  // becomes _off
  std::uint32_t len;
  std::size_t payload_at, end;
};

// What Arrival becomes in the packet: its first, sixth and eighth 16 bytes. Once a batch.
struct PlainArrival {
  __m128i time, queue_and_type, interface;

  explicit PlainArrival(const Arrival& arrival) noexcept
      : time(_mm_castpd_si128(_mm_set_sd(arrival.time))),
        queue_and_type(_mm_set_epi64x(arrival.queue | 0x0800 << 16, 0)),
        interface(_mm_set_epi64x(0, static_cast<long long>(std::uint64_t{arrival.interface} << 48))) {}
};

// Where each field lies is asserted below. `tcp`: else UDP.
template <bool tcp>
ENGINE_PLAIN void store_plain(const PlainFrame& plain, const PlainArrival& arrival, engine_packet& packet) noexcept {
  constexpr char o = -128;  // this byte becomes 0
  const auto load = [data = plain.frame.data](std::size_t at) __attribute__((target("ssse3"), always_inline)) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + at));
  };
  const __m128i ip = load(kPlainIpAt), ends = load(kPlainIpAt + 12);  // both addresses, both ports, 4 bytes more
  const __m128i mapped = _mm_setr_epi32(0, 0, static_cast<int>(0xffff0000), 0);  // ::ffff:a.b.c.d
  const __m128i source = _mm_shuffle_epi8(ends, _mm_setr_epi8(o, o, o, o, o, o, o, o, o, o, o, o, 0, 1, 2, 3));
  const __m128i destination = _mm_shuffle_epi8(ends, _mm_setr_epi8(o, o, o, o, o, o, o, o, o, o, o, o, 4, 5, 6, 7));
  const __m128i dst4 = _mm_shuffle_epi8(ends, _mm_setr_epi8(7, 6, 5, 4, o, o, o, o, o, o, o, o, o, o, o, o));
  const __m128i ports = _mm_shuffle_epi8(ends, _mm_setr_epi8(9, 8, 11, 10, o, o, o, o, o, o, o, o, o, o, o, o));
  const __m128i of_ip = _mm_shuffle_epi8(ip, _mm_setr_epi8(o, o, o, o, o, o, o, o, o, o, o, o, o, 9, 8, 1));
  const __m128i offsets = _mm_setr_epi16(0, 0, 0, kPlainIpAt, kPlainL4At, kPlainL4At + 8, 4, 0);
  __m128i numbers = _mm_shuffle_epi8(ends, _mm_setr_epi8(o, o, o, o, o, o, o, o, o, o, o, o, 3, 2, 1, 0));
  __m128i transport = _mm_or_si128(_mm_or_si128(ports, of_ip), offsets);
  if constexpr (tcp) {
    const __m128i header = load(kPlainL4At + 4);
    const __m128i sequence = _mm_shuffle_epi8(header, _mm_setr_epi8(o, o, o, o, 3, 2, 1, 0, 7, 6, 5, 4, o, o, o, o));
    const __m128i window = _mm_shuffle_epi8(header, _mm_setr_epi8(o, o, o, o, 11, 10, o, o, o, o, o, o, o, o, o, o));
    numbers = _mm_or_si128(numbers, sequence);
    transport = _mm_or_si128(transport, window);
  }
  // The two end points of hash.h: the port below the address.
  const __m128i points = _mm_shuffle_epi8(ends, _mm_setr_epi8(9, 8, 3, 2, 1, 0, o, o, 11, 10, 7, 6, 5, 4, o, o));
  const std::uint64_t hash = flow_hash(static_cast<std::uint64_t>(_mm_cvtsi128_si64(points)),
                                       static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_srli_si128(points, 8))),
                                       tcp ? IPPROTO_TCP : IPPROTO_UDP);
  const auto lengths = static_cast<long long>(plain.frame.size | hash << 32);
  const auto place = static_cast<long long>(plain.offset | std::uint64_t{plain.len} << 32);

  __m128i* to = reinterpret_cast<__m128i*>(&packet);
  _mm_storeu_si128(to + 0, arrival.time);
  _mm_storeu_si128(to + 1, _mm_or_si128(source, mapped));
  _mm_storeu_si128(to + 2, _mm_or_si128(destination, mapped));
  _mm_storeu_si128(to + 3, _mm_set_epi64x(lengths, place));
  _mm_storeu_si128(to + 4, numbers);
  _mm_storeu_si128(to + 5, _mm_or_si128(dst4, arrival.queue_and_type));
  _mm_storeu_si128(to + 6, transport);
  _mm_storeu_si128(to + 7, arrival.interface);
  packet.payload_len = static_cast<std::uint32_t>(plain.end - plain.payload_at);
  if constexpr (tcp) {
    packet.payload_off = static_cast<std::uint16_t>(plain.payload_at);
    packet.tcp_flags = plain.frame.u8(kPlainL4At + 13);
  }
}

// False, and nothing written, for every other frame. Writes all of the packet.
ENGINE_PLAIN bool decode_plain(Frame frame, std::uint64_t offset, std::uint32_t len, const PlainArrival& arrival,
                               engine_packet& packet) noexcept {
  // EtherType IPv4, then version 4 with 5 words of header; behind them the type of service.
  constexpr std::uint32_t kTypeMask = 0x00ffffff, kType = 0x00450008;
  // Fragment bits (all but "don't fragment"), time to live, protocol, as they lie.
  constexpr std::uint32_t kKindMask = 0xff00ff3f, kUdp = IPPROTO_UDP << 24, kTcp = IPPROTO_TCP << 24;
  if (frame.size < kPlainLeast_bytes || (frame.load<std::uint32_t>(12) & kTypeMask) != kType) return false;
  const std::uint32_t kind = frame.load<std::uint32_t>(kPlainIpAt + 6) & kKindMask;
  const std::size_t total_bytes = frame.u16(kPlainIpAt + 2);
  const std::size_t end = std::min(frame.size, kPlainIpAt + total_bytes);
  if (kind == kUdp) {
    const std::size_t udp_bytes = frame.u16(kPlainL4At + 4);
    if (total_bytes < 28 || udp_bytes < 8) return false;
    store_plain<false>({frame, offset, len, kPlainL4At + 8, std::min(end, kPlainL4At + udp_bytes)}, arrival, packet);
    return true;
  }
  const std::size_t header_bytes = std::size_t{4} * (frame.u8(kPlainL4At + 12) >> 4);
  if (kind != kTcp || total_bytes < 40 || header_bytes < 20) return false;
  store_plain<true>({frame, offset, len, std::min(end, kPlainL4At + header_bytes), end}, arrival, packet);
  return true;
}

#define ENGINE_AT(field) offsetof(engine_packet, field)
static_assert(ENGINE_AT(time) == 0 && ENGINE_AT(src) == 16 && ENGINE_AT(dst) == 32);
static_assert(ENGINE_AT(_off) == 48 && ENGINE_AT(len) == 52 && ENGINE_AT(caplen) == 56 && ENGINE_AT(hash) == 60);
static_assert(ENGINE_AT(tcp_seq) == 68 && ENGINE_AT(tcp_ack) == 72 && ENGINE_AT(src4) == 76);
static_assert(ENGINE_AT(dst4) == 80 && ENGINE_AT(queue) == 88 && ENGINE_AT(eth_type) == 90);
static_assert(ENGINE_AT(src_port) == 96 && ENGINE_AT(dst_port) == 98 && ENGINE_AT(tcp_window) == 100);
static_assert(ENGINE_AT(l3_off) == 102 && ENGINE_AT(l4_off) == 104 && ENGINE_AT(ip_version) == 108);
static_assert(ENGINE_AT(proto) == 109 && ENGINE_AT(ttl) == 110 && ENGINE_AT(tos) == 111);
static_assert(ENGINE_AT(_interface) == 118 && sizeof(engine_packet) == 128);
#undef ENGINE_AT

}  // namespace engine
#endif
