// What tests of Socket share: memory for a UMEM, configurations, and the error of an open() that must fail.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "engine/base/error.h"
#include "xsk/link.h"
#include "xsk/socket.h"

namespace xsk::test {

inline constexpr std::uint32_t chunk_bytes = 2048;
inline constexpr std::uint32_t frames = 256;

// Page-aligned, and zeroed so that the frames are there.
class Memory {
 public:
  explicit Memory(std::size_t size_bytes = std::size_t{frames} * chunk_bytes)
      : bytes_(static_cast<std::byte*>(std::aligned_alloc(4096, size_bytes)), size_bytes) {
    std::memset(bytes_.data(), 0, bytes_.size());
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { std::free(bytes_.data()); }
  std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

inline SocketConfig receiving(const Link& link, std::uint32_t queue, const Memory& memory) {
  SocketConfig config;
  config.interface_name = link.name;
  config.ifindex = link.ifindex;
  config.queue = QueueId(queue);
  config.umem = memory.bytes();
  config.chunk_bytes = chunk_bytes;
  config.rx_entries = 128;
  return config;
}

inline SocketConfig sending(const Link& link, std::uint32_t queue, const Memory& memory) {
  SocketConfig config = receiving(link, queue, memory);
  config.rx_entries = 0;
  config.tx_entries = 64;
  return config;
}

// The error of an open() that must fail.
inline engine::SetupError refusal(const SocketConfig& config) {
  try {
    (void)Socket::open(config);
  } catch (const engine::SetupError& error) {
    return error;
  }
  ADD_FAILURE() << "the socket was opened";
  return {engine::ExitCode::done, "", ""};
}

}  // namespace xsk::test
