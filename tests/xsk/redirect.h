// What tests of Socket on a veth pair share: an XDP program that redirects to sockets, and numbered frames through it.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_link.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#include "engine/base/unique_fd.h"
#include "tests/xsk/lab.h"
#include "xsk/socket.h"

namespace xsk::test {

// A socket map and, natively attached, the shortest program that uses it: redirect by receive queue, else pass. With
// `frags` it takes packets of several frames.
class Redirect {
 public:
  explicit Redirect(unsigned ifindex, bool frags = false)
      : map_(bpf_map_create(BPF_MAP_TYPE_XSKMAP, "sockets", sizeof(int), sizeof(int), 8, nullptr)) {
    const std::array<bpf_insn, 6> code{{
        {BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(xdp_md, rx_queue_index), 0},
        {BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map_.get()},
        {0, 0, 0, 0, 0},
        {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, XDP_PASS},
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    }};
    bpf_prog_load_opts options{};
    options.sz = sizeof options;
    options.expected_attach_type = BPF_XDP;
    if (frags) options.prog_flags = has_frags;
    program_.reset(bpf_prog_load(BPF_PROG_TYPE_XDP, "redirect", "GPL", code.data(), code.size(), &options));
    bpf_link_create_opts native{};
    native.sz = sizeof native;
    native.flags = XDP_FLAGS_DRV_MODE;
    link_.reset(bpf_link_create(program_.get(), static_cast<int>(ifindex), BPF_XDP, &native));
  }
  bool attached() const noexcept { return link_.valid(); }
  bool add(const Socket& socket) const noexcept {
    const std::uint32_t slot = socket.queue().value();
    const int fd = socket.fd();
    return bpf_map_update_elem(map_.get(), &slot, &fd, BPF_ANY) == 0;
  }

 private:
  // BPF_F_XDP_HAS_FRAGS, Linux 5.18 (commit c2f2cdbeffda).
  static constexpr std::uint32_t has_frags = 1U << 5;

  engine::UniqueFd map_;
  engine::UniqueFd program_;
  engine::UniqueFd link_;
};

class SocketInLab : public Lab {
 protected:
  void SetUp() override {
    Lab::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    near_link_ = read_link(near());
    far_link_ = read_link(far());
  }
  Link near_link_;
  Link far_link_;
};

// What was received on one queue: how many, and whether each came once.
struct Received {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
};

inline void drain(Socket& socket, Received& received) {
  for (;;) {
    const RxBatch batch = socket.rx_queue().receive(64);
    if (batch.empty()) return;
    for (std::uint32_t i = 0; i < batch.size(); ++i) {
      std::uint64_t number = 0;
      std::memcpy(&number, socket.rx_queue().umem().data() + batch[i].offset + 14, sizeof number);
      EXPECT_EQ(batch[i].len, 60U);
      ++received.count;
      received.sum += number;
    }
  }
}

// Sends n numbered frames and lets the receiver drain as they arrive.
inline void send_numbered(Socket& sender, std::uint64_t n, const std::function<void()>& receive) {
  TxQueue& queue = sender.tx_queue();
  std::uint64_t next = 0;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (queue.completed() < n && std::chrono::steady_clock::now() < give_up) {
    TxBatch batch = queue.reserve(static_cast<std::uint32_t>(std::min<std::uint64_t>(32, n - next)));
    while (batch.room() != 0) {
      const std::span<std::byte> frame = batch.buffer();
      std::memset(frame.data(), 0, 60);
      frame[0] = frame[6] = std::byte{2};  // locally administered addresses
      frame[12] = std::byte{0x88};         // ethertype 88b5, for local experiments (IEEE 802)
      frame[13] = std::byte{0xb5};
      std::memcpy(frame.data() + 14, &next, sizeof next);
      next += batch.push(60);
    }
    queue.submit(std::move(batch));
    if (queue.in_flight() != 0) sender.wake_tx();
    queue.drain_completions();
    receive();
  }
  EXPECT_EQ(queue.completed(), n);
}

}  // namespace xsk::test
