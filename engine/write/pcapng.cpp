#include "engine/write/pcapng.h"

#include <algorithm>
#include <cstring>

namespace engine::pcapng {
namespace {

enum BlockType : std::uint32_t {
  kSectionHeader = 0x0a0d0d0a,
  kInterfaceDescription = 1,
  kInterfaceStatistics = 5,
  kEnhancedPacket = 6,
};

// Codes are a block's own but for the first two.
enum OptionCode : std::uint16_t {
  kEndOfOptions = 0,
  kComment = 1,
  kSectionHardware = 2,
  kSectionOs = 3,
  kSectionApplication = 4,
  kInterfaceName = 2,
  kInterfaceDescriptionText = 3,
  kInterfaceTimeResolution = 9,
  kInterfaceFilter = 11,
  kPacketFlags = 2,
  kPacketDropCount = 4,
  kPacketQueue = 6,
  kStatisticsBegin = 2,
  kStatisticsEnd = 3,
  kStatisticsReceived = 4,
  kStatisticsDropped = 5,
  kStatisticsFilterAccepted = 6,
  kStatisticsOsDropped = 7,
  kStatisticsDelivered = 8,
};

constexpr std::uint8_t kNanoseconds = 9;         // a power of ten, negated (section 4.2, if_tsresol)
constexpr std::uint8_t kFilterText = 0;          // what follows is libpcap's language (if_filter)
constexpr std::uint64_t kUnknownLength = ~0ull;  // of the section

class Block {
 public:
  Block(Bytes& out, BlockType type) : out_(out), begin_(out.size()) {
    put(static_cast<std::uint32_t>(type));
    put(std::uint32_t{0});
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() {
    if (has_options_) put(std::uint32_t{kEndOfOptions});
    const auto length = static_cast<std::uint32_t>(out_.size() + sizeof(std::uint32_t) - begin_);
    put(length);
    std::memcpy(out_.data() + begin_ + sizeof(std::uint32_t), &length, sizeof length);
  }

  template <typename Number>
  void put(Number value) {
    put_bytes(&value, sizeof value);
  }
  void put_time(std::uint64_t time_ns) {
    put(static_cast<std::uint32_t>(time_ns >> 32));
    put(static_cast<std::uint32_t>(time_ns));
  }
  // Up to the next multiple of 4.
  void put_padded(const void* data, std::size_t bytes) {
    put_bytes(data, bytes);
    out_.resize(out_.size() + (4 - bytes % 4) % 4);
  }

  void option(OptionCode code, const void* data, std::size_t bytes) {
    has_options_ = true;
    bytes = std::min<std::size_t>(bytes, UINT16_MAX);
    put(static_cast<std::uint16_t>(code));
    put(static_cast<std::uint16_t>(bytes));
    put_padded(data, bytes);
  }
  void option(OptionCode code, std::string_view text) {
    if (!text.empty()) option(code, text.data(), text.size());
  }
  template <typename Number>
  void number_option(OptionCode code, Number value) {
    option(code, &value, sizeof value);
  }
  void number_option(OptionCode code, const std::optional<std::uint64_t>& value) {
    if (value) number_option(code, *value);
  }
  void time_option(OptionCode code, std::uint64_t time_ns) {
    const std::uint32_t halves[] = {static_cast<std::uint32_t>(time_ns >> 32), static_cast<std::uint32_t>(time_ns)};
    option(code, halves, sizeof halves);
  }

 private:
  void put_bytes(const void* data, std::size_t bytes) {
    const auto* first = static_cast<const std::byte*>(data);
    out_.insert(out_.end(), first, first + bytes);
  }

  Bytes& out_;
  std::size_t begin_;
  bool has_options_ = false;
};

std::uint32_t word_at(const std::byte* block, std::size_t offset) noexcept {
  std::uint32_t word;
  std::memcpy(&word, block + offset, sizeof word);
  return word;
}

}  // namespace

void append_section(Bytes& out, const Section& section) {
  Block block(out, kSectionHeader);
  block.put(std::uint32_t{0x1a2b3c4d});  // tells the byte order
  block.put(std::uint16_t{1});           // version 1.0
  block.put(std::uint16_t{0});
  block.put(kUnknownLength);
  block.option(kSectionHardware, section.hardware);
  block.option(kSectionOs, section.os);
  block.option(kSectionApplication, section.application);
}

void append_interface(Bytes& out, const Interface& interface) {
  Block block(out, kInterfaceDescription);
  block.put(interface.link_type);
  block.put(std::uint16_t{0});
  block.put(std::uint32_t{0});  // no limit on a frame's length
  block.option(kInterfaceName, interface.name);
  block.option(kInterfaceDescriptionText, interface.description);
  block.number_option(kInterfaceTimeResolution, kNanoseconds);
  if (!interface.filter.empty())
    block.option(kInterfaceFilter, std::string(1, static_cast<char>(kFilterText)) + interface.filter);
}

void append_packet(Bytes& out, const Packet& packet) {
  Block block(out, kEnhancedPacket);
  block.put(packet.interface);
  block.put_time(packet.time_ns);
  block.put(static_cast<std::uint32_t>(packet.frame.size()));
  block.put(packet.len);
  block.put_padded(packet.frame.data(), packet.frame.size());
  for (const std::string_view comment : packet.comments) block.option(kComment, comment);
  if (packet.direction != Direction::unknown)
    block.number_option(kPacketFlags, static_cast<std::uint32_t>(packet.direction));
  if (packet.lost_before != 0) block.number_option(kPacketDropCount, packet.lost_before);
  if (packet.queue) block.number_option(kPacketQueue, *packet.queue);
}

void append_statistics(Bytes& out, const Statistics& statistics) {
  Block block(out, kInterfaceStatistics);
  block.put(statistics.interface);
  block.put_time(statistics.end_ns);
  block.time_option(kStatisticsBegin, statistics.begin_ns);
  block.time_option(kStatisticsEnd, statistics.end_ns);
  block.number_option(kStatisticsReceived, statistics.received);
  block.number_option(kStatisticsDropped, statistics.dropped);
  block.number_option(kStatisticsFilterAccepted, statistics.filter_accepted);
  block.number_option(kStatisticsOsDropped, statistics.os_dropped);
  block.number_option(kStatisticsDelivered, statistics.delivered);
}

std::size_t block_bytes(const std::byte* block) noexcept { return word_at(block, 4); }
bool is_packet_block(const std::byte* block) noexcept { return word_at(block, 0) == kEnhancedPacket; }

}  // namespace engine::pcapng
