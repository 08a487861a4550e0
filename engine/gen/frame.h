// One frame as it is sent, but for the fields that tell packets apart: bytes, where those fields lie and the sums
// their checksums start from. Built once per kind, size and tags; patch() makes a packet out of a copy of it.
//
// Flow i is told by its address and port: the specification's source address + i (10.0.0.1 + i, 2001:2:0:1::1 + i if it
// says nothing), port 1024 + i mod 64512 (ICMP: the identifier). The other side is the same for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bpf/gen_abi.h"
#include "engine/gen/spec.h"

namespace engine::gen {

inline constexpr std::size_t stamp_bytes = 16;  // sequence number, time stamp

struct FrameTemplate {
  std::vector<std::byte> bytes;
  gen_frame_layout layout{};
  Kind kind = Kind::udp4;

  bool stamped() const noexcept { return layout.stamp_off != 0; }
};

// What varies between two packets of one template.
struct Variation {
  std::uint32_t flow = 0;
  std::uint16_t serial = 0;
  std::uint64_t sequence = 0;
  std::uint64_t stamp_ns = 0;  // since 1970, UTC
};

// A frame of the kind that is frame_bytes long, or as short as its headers allow if that is more. Not for DNS.
FrameTemplate build_frame(const TrafficSpec& spec, Kind kind, VlanTags vlans, std::uint16_t frame_bytes);

// A DNS message about name number `name` (of dns_name_count): the query, or its response.
FrameTemplate build_dns_frame(const TrafficSpec& spec, Kind kind, VlanTags vlans, std::size_t name, bool response);

// Writes the varying fields and their checksums over a copy of the template's bytes. Called per packet.
void patch(const gen_frame_layout& layout, const Variation& variation, std::byte* frame) noexcept;

}  // namespace engine::gen
