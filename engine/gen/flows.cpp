// The alias table of Zipf-distributed flows, built once per run (Vose's method, O(N)).
#include "engine/gen/flows.h"

#include <cmath>
#include <limits>

namespace engine::gen {

FlowPicker::FlowPicker(std::uint32_t flows, double zipf, std::uint64_t seed)
    : flows_(flows == 0 ? 1 : flows), seed_(mix64(seed)) {
  if (zipf <= 0 || flows_ == 1) return;
  std::vector<double> share(flows_);
  double total = 0;
  for (std::uint32_t i = 0; i < flows_; ++i) total += share[i] = std::pow(i + 1.0, -zipf);
  std::vector<std::uint32_t> small, large;
  for (std::uint32_t i = 0; i < flows_; ++i) {
    share[i] *= flows_ / total;
    (share[i] < 1 ? small : large).push_back(i);
  }
  constexpr std::uint32_t always = std::numeric_limits<std::uint32_t>::max();
  cells_.assign(flows_, {always, 0});
  for (std::uint32_t i = 0; i < flows_; ++i) cells_[i].alias = i;  // for the one draw in 2^32 at the threshold itself
  while (!small.empty() && !large.empty()) {
    const std::uint32_t poor = small.back(), rich = large.back();
    small.pop_back();
    cells_[poor] = {static_cast<std::uint32_t>(share[poor] * 4294967296.0), rich};
    share[rich] -= 1 - share[poor];
    if (share[rich] >= 1) continue;
    large.pop_back();
    small.push_back(rich);
  }
}

}  // namespace engine::gen
