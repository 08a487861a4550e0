// A worker that forwards: what comes in on one queue goes out on another, in the same frames.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/bench/sampled_worker.h"
#include "xsk/socket.h"

namespace engine::bench {

// From one socket to another of the same UMEM, or back out of the same one. Its counts have one writer, the worker.
struct Direction {
  xsk::Socket* from = nullptr;
  xsk::Socket* to = nullptr;
};

class ForwardWorker final : public SampledWorker {
 public:
  // The sockets outlive it.
  ForwardWorker(std::vector<Direction> directions, bool swap_macs, WorkerControl& control, const WorkerConfig& config);

 private:
  std::uint32_t look() noexcept override;
  void remind() noexcept override;
  bool settled() noexcept override;
  std::uint32_t serve(const Direction& direction) noexcept;
  static void send(xsk::Socket& socket) noexcept;

  std::vector<Direction> directions_;
  bool swap_macs_;
};

}  // namespace engine::bench
