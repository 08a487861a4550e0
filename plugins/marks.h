// Which packets of the current batch the plugins want in the capture file, and what they say about them.
//
// One per worker, shared by its plugins; the worker's thread alone. Of fixed size: p:capture() allocates nothing. A
// plugin's first comment on a packet is kept, cut to kComment_bytes; bytes that are no UTF-8 become U+FFFD, since that
// is what a capture file's comments are.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace plugins {

class Marks {
 public:
  static constexpr std::uint32_t kMaxPackets = 256;
  static constexpr std::size_t kComment_bytes = 256;
  static constexpr std::size_t kComments = 1024;
  static constexpr std::size_t kText_bytes = 64u << 10;

  // A batch begins; what was marked in the last one is forgotten. 0: there is no packet to be marked.
  void begin(std::uint32_t packets) noexcept {
    packets_ = packets;
    if (marked_.any()) forget();
  }

  // False if there is no such packet in the batch.
  bool mark(std::size_t packet) noexcept {
    if (packet >= packets_) return false;
    marked_.set(packet);
    return true;
  }
  void comment(std::size_t packet, std::uint32_t plugin, std::string_view text) noexcept;

  bool any() const noexcept { return marked_.any(); }
  bool has(std::size_t packet) const noexcept { return marked_[packet]; }
  // visit(text) for each comment on the packet, by the plugins' order.
  template <typename Visit>
  void comments_of(std::size_t packet, const Visit& visit) const noexcept {
    for (std::uint16_t i = first_[packet]; i != kNone; i = comments_[i].next)
      visit(std::string_view(text_.data() + comments_[i].offset, comments_[i].length));
  }

  // Comments that were too long or found no room.
  std::uint64_t comments_cut() const noexcept { return cut_; }

 private:
  static constexpr std::uint16_t kNone = UINT16_MAX;
  struct Comment {
    std::uint32_t plugin;
    std::uint32_t offset;
    std::uint16_t length;
    std::uint16_t next;
  };
  struct NoComments : std::array<std::uint16_t, kMaxPackets> {
    NoComments() { fill(kNone); }
  };

  void forget() noexcept;

  std::uint32_t packets_ = 0;
  std::bitset<kMaxPackets> marked_;
  NoComments first_;
  std::array<Comment, kComments> comments_;
  std::array<char, kText_bytes> text_;
  std::uint16_t used_comments_ = 0;
  std::uint32_t used_text_ = 0;
  std::uint64_t cut_ = 0;
};

}  // namespace plugins
