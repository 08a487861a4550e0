// A reader of packets that shares nothing with the generator: from the bytes alone, field by field, byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace engine::gen::test {

struct Seen {
  std::vector<std::uint16_t> vlans;
  int ip_version = 0;
  std::uint8_t proto = 0;
  std::uint64_t source_low = 0, destination_low = 0;    // last 4 bytes of the address
  std::uint16_t source_port = 0, destination_port = 0;  // ICMP: identifier, sequence number
  std::span<const std::byte> payload;
  std::string fault;  // a wrong length, checksum or protocol; empty: all is right
};

Seen read_packet(std::span<const std::byte> frame);

// Big-endian, from any offset.
std::uint64_t number(std::span<const std::byte> bytes, std::size_t offset, std::size_t width);

}  // namespace engine::gen::test
