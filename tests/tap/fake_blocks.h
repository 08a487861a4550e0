// The kernel's side of a TPACKET_V3 ring over heap memory: fills blocks with frames and hands them over, as
// net/packet/af_packet.c does.
#pragma once

#include <linux/if_packet.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "engine/tap/packet_queue.h"

namespace engine::test {

struct FakeFrame {
  std::vector<std::uint8_t> bytes;
  std::uint32_t len = 0;  // on the wire; 0: all of it is there
  std::uint32_t status = 0;
  std::uint16_t tci = 0;
  std::uint16_t type = 0;
  std::uint32_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  std::uint8_t direction = PACKET_HOST;
};

class FakeBlocks {
 public:
  static constexpr std::uint32_t block_bytes = 4096;

  explicit FakeBlocks(std::uint32_t blocks) : blocks_(blocks), words_(std::size_t{blocks} * block_bytes / 8) {}

  std::span<std::byte> memory() noexcept { return std::as_writable_bytes(std::span(words_)); }

  // False if there is no room: the block that comes next has not been given back.
  bool put(const FakeFrame& frame) {
    const std::uint32_t mac = TPACKET_ALIGN(TPACKET3_HDRLEN + 16) + PacketQueue::kHeadroom_bytes - 14;
    const auto step = static_cast<std::uint32_t>((mac + frame.bytes.size() + 7) / 8 * 8);
    if (open_ && used_ + step > block_bytes) hand_over(0);
    if (!open_ && !open_next()) return false;
    std::byte* at = begin() + used_;
    if (last_ != nullptr) last_->tp_next_offset = static_cast<std::uint32_t>(at - reinterpret_cast<std::byte*>(last_));
    auto* header = reinterpret_cast<tpacket3_hdr*>(at);
    *header = {};
    header->tp_sec = frame.seconds;
    header->tp_nsec = frame.nanoseconds;
    header->tp_snaplen = static_cast<std::uint32_t>(frame.bytes.size());
    header->tp_len = frame.len != 0 ? frame.len : header->tp_snaplen;
    header->tp_status = TP_STATUS_USER | frame.status;
    header->tp_mac = static_cast<std::uint16_t>(mac);
    header->tp_net = static_cast<std::uint16_t>(mac + 14);
    header->hv1.tp_vlan_tci = frame.tci;
    header->hv1.tp_vlan_tpid = frame.type;
    reinterpret_cast<sockaddr_ll*>(at + TPACKET_ALIGN(sizeof *header))->sll_pkttype = frame.direction;
    std::memcpy(at + mac, frame.bytes.data(), frame.bytes.size());
    last_ = header;
    used_ += step;
    block().hdr.bh1.num_pkts += 1;
    return true;
  }

  // Full, or its time is up (TP_STATUS_BLK_TMO).
  void hand_over(std::uint32_t status) {
    if (!open_) return;
    std::atomic_ref(block().hdr.bh1.block_status).store(TP_STATUS_USER | status, std::memory_order_release);
    open_ = false;
    last_ = nullptr;
    current_ = (current_ + 1) % blocks_;
  }

  // As kernels before 3.18 did when the time was up and nothing had arrived.
  void hand_over_empty() {
    hand_over(0);
    if (open_next()) hand_over(TP_STATUS_BLK_TMO);
  }

  std::uint32_t blocks_given_back() {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < blocks_; ++i) count += block(i).hdr.bh1.block_status == TP_STATUS_KERNEL ? 1 : 0;
    return count;
  }

 private:
  tpacket_block_desc& block(std::uint32_t i) noexcept {
    return *reinterpret_cast<tpacket_block_desc*>(memory().data() + std::size_t{i} * block_bytes);
  }
  tpacket_block_desc& block() noexcept { return block(current_); }
  std::byte* begin() noexcept { return reinterpret_cast<std::byte*>(&block()); }

  bool open_next() {
    if (std::atomic_ref(block().hdr.bh1.block_status).load(std::memory_order_acquire) != TP_STATUS_KERNEL) return false;
    block().hdr.bh1.num_pkts = 0;
    used_ = 48;
    block().hdr.bh1.offset_to_first_pkt = used_;
    open_ = true;
    return true;
  }

  std::uint32_t blocks_;
  std::vector<std::uint64_t> words_;
  std::uint32_t current_ = 0;
  std::uint32_t used_ = 0;
  bool open_ = false;
  tpacket3_hdr* last_ = nullptr;
};

}  // namespace engine::test
