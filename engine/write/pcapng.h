// Blocks of a pcapng file (draft-ietf-opsawg-pcapng), appended to bytes that become the file's. Host byte order, as the
// format wants it; time stamps in nanoseconds. Pure functions: any thread.
//
// A block is whole once its function has returned. Its length is a multiple of 4, at its beginning and its end; that is
// what lets the one who writes the bytes out find the boundaries again (block_bytes, is_packet_block).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace engine::pcapng {

using Bytes = std::vector<std::byte>;

// The section header, section 4.1. Empty texts are left out, here and below.
struct Section {
  std::string hardware;
  std::string os;
  std::string application;
};
void append_section(Bytes& out, const Section& section);

// An interface description, section 4.2; the first one is interface 0.
struct Interface {
  std::string name;
  std::string description;
  std::string filter;           // libpcap's language
  std::uint16_t link_type = 1;  // LINKTYPE_ETHERNET
};
void append_interface(Bytes& out, const Interface& interface);

enum class Direction : std::uint16_t { unknown, inbound, outbound };  // as epb_flags has it, bits 0 and 1

// An enhanced packet, section 4.3.
struct Packet {
  std::uint32_t interface = 0;
  std::uint64_t time_ns = 0;  // UTC
  std::uint32_t len = 0;      // on the wire
  std::span<const std::byte> frame;
  std::optional<std::uint32_t> queue;
  Direction direction = Direction::unknown;
  std::uint64_t lost_before = 0;  // packets that are missing between the one before and this one
  std::span<const std::string_view> comments;
};
void append_packet(Bytes& out, const Packet& packet);

// Interface statistics, section 4.6. What is not known is left out.
struct Statistics {
  std::uint32_t interface = 0;
  std::uint64_t begin_ns = 0;  // UTC
  std::uint64_t end_ns = 0;
  std::optional<std::uint64_t> received;         // by the interface
  std::optional<std::uint64_t> dropped;          // by the interface, for want of resources
  std::optional<std::uint64_t> filter_accepted;  // of those received
  std::optional<std::uint64_t> os_dropped;       // of those accepted
  std::optional<std::uint64_t> delivered;        // to the user
};
void append_statistics(Bytes& out, const Statistics& statistics);

// The length of the block that begins there; at least 12 bytes must.
std::size_t block_bytes(const std::byte* block) noexcept;
bool is_packet_block(const std::byte* block) noexcept;

}  // namespace engine::pcapng
