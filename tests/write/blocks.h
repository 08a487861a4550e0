// A pcapng file taken apart again, by hand and after the format's description, not with the writer's own code.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace write_test {

struct Block {
  std::uint32_t type = 0;
  std::string body;  // between the two lengths
};

template <typename Number>
Number number_at(const std::string& bytes, std::size_t offset) {
  Number value{};
  if (offset + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// Nothing if the bytes are not a sequence of whole blocks.
inline std::optional<std::vector<Block>> blocks_of(const std::string& bytes) {
  std::vector<Block> blocks;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = number_at<std::uint32_t>(bytes, at + 4);
    if (length < 12 || length % 4 != 0 || at + length > bytes.size()) return std::nullopt;
    if (number_at<std::uint32_t>(bytes, at + length - 4) != length) return std::nullopt;
    blocks.push_back({number_at<std::uint32_t>(bytes, at), bytes.substr(at + 8, length - 12)});
    at += length;
  }
  return blocks;
}

inline std::multimap<std::uint16_t, std::string> options_of(const std::string& body, std::size_t offset) {
  std::multimap<std::uint16_t, std::string> options;
  while (offset + 4 <= body.size()) {
    const auto code = number_at<std::uint16_t>(body, offset);
    const auto length = number_at<std::uint16_t>(body, offset + 2);
    if (code == 0) break;
    options.emplace(code, body.substr(offset + 4, length));
    offset += 4 + (length + 3u) / 4 * 4;
  }
  return options;
}

struct Packet {
  std::uint64_t time_ns = 0;
  std::uint32_t len = 0;
  std::string frame;
  std::vector<std::string> comments;
  std::multimap<std::uint16_t, std::string> options;
  std::uint64_t lost_before() const {
    return options.count(4) != 0 ? number_at<std::uint64_t>(options.find(4)->second, 0) : 0;
  }
};

inline std::vector<Packet> packets_of(const std::vector<Block>& blocks) {
  std::vector<Packet> packets;
  for (const Block& block : blocks) {
    if (block.type != 6) continue;
    Packet packet;
    packet.time_ns =
        std::uint64_t{number_at<std::uint32_t>(block.body, 4)} << 32 | number_at<std::uint32_t>(block.body, 8);
    const auto caplen = number_at<std::uint32_t>(block.body, 12);
    packet.len = number_at<std::uint32_t>(block.body, 16);
    packet.frame = block.body.substr(20, caplen);
    packet.options = options_of(block.body, 20 + (caplen + 3u) / 4 * 4);
    const auto [first, last] = packet.options.equal_range(1);
    for (auto comment = first; comment != last; ++comment) packet.comments.push_back(comment->second);
    packets.push_back(std::move(packet));
  }
  return packets;
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace write_test
