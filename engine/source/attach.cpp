#include "engine/source/attach.h"

#include <poll.h>

namespace engine {

bpf::AttachRequest attach_request(xsk::RequestedMode mode) noexcept {
  switch (mode) {
    case xsk::RequestedMode::skb:
      return bpf::AttachRequest::generic;
    case xsk::RequestedMode::zerocopy:
    case xsk::RequestedMode::copy:
      return bpf::AttachRequest::native;
    default:
      return bpf::AttachRequest::automatic;
  }
}

void wait_until_settled(const std::function<std::uint64_t()>& seen) {
  constexpr int rounds = 100;
  std::uint64_t before = seen();
  for (int round = 0, equal = 0; round < rounds && equal < 2; ++round) {
    poll(nullptr, 0, 1);
    const std::uint64_t now = seen();
    equal = now == before ? equal + 1 : 0;
    before = now;
  }
}

}  // namespace engine
