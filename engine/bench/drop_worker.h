// A worker that receives and drops: it reads four bytes of each packet and gives the frame back, as the least that any
// receiver does.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/bench/sampled_worker.h"
#include "engine/worker.h"

namespace engine::bench {

class DropWorker final : public SampledWorker {
 public:
  // The lanes outlive it.
  DropWorker(std::vector<Lane*> lanes, WorkerControl& control, const WorkerConfig& config);

 private:
  std::uint32_t look() noexcept override;
  void remind() noexcept override;
  std::uint32_t serve(Lane& lane) noexcept;

  std::vector<Lane*> lanes_;
};

}  // namespace engine::bench
