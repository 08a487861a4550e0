#include "plugins/blocks.h"

#include <algorithm>
#include <cstring>

#include "plugins/block_native.h"
#include "plugins/hash.h"

namespace plugins {
namespace {

// The address of no host: packets without one have `::` (plugins/abi.h), hosts that are about to get one send from
// either (RFC 4291, section 2.5.2; RFC 1122, section 3.2.1.3). Blocked, a network would lose new hosts.
bool is_unspecified(const engine_addr& address) noexcept {
  constexpr std::uint64_t kMappedZero = 0xffff0000;  // ::ffff:0.0.0.0, its bytes read in memory order
  return address._hi == 0 && (address._lo == 0 || address._lo == kMappedZero);
}

}  // namespace

bool Blocks::ask(engine_binding& from, const engine_addr& first, std::uint32_t bits, double seconds) noexcept {
  // relaxed: a late look sends a request that is refused at the list.
  if ((full_.load(std::memory_order_relaxed) & (bits == 128 ? kNoAddresses : kNoNetworks)) != 0) return false;
  const engine_packet& now = from.packets[from.cell.next];
  const double until_ns = now.time + seconds * 1e9;
  // A collision costs a message, so the hash needs no secret.
  Asked& asked = asked_[mix(first._hi ^ bits, first._lo ^ kOddHash) % asked_.size()];
  const bool same =
      asked.first._hi == first._hi && asked.first._lo == first._lo && asked.bits == bits && asked.plugin == from.plugin;
  if (same && until_ns - asked.until_ns < std::min(kSame_ns, kSameShare * seconds * 1e9)) return true;

  constexpr auto kLength = static_cast<std::uint32_t>(sizeof(engine_message) + sizeof(engine_block));
  engine_outbox& outbox = from.outbox;
  if (outbox.used > outbox.limit || outbox.limit - outbox.used < kLength) return false;
  const engine_message head{kLength,   ENGINE_MESSAGE_BLOCK, static_cast<std::uint8_t>(from.plugin), 0, now.time,
                            now._place};
  const engine_block request{first, seconds, bits, 0};
  std::memcpy(outbox.data + outbox.used, &head, sizeof head);
  std::memcpy(outbox.data + outbox.used + sizeof head, &request, sizeof request);
  outbox.used += kLength;
  std::memcpy(static_cast<void*>(&asked.first), &first, sizeof first);
  asked.bits = bits;
  asked.plugin = from.plugin;
  asked.until_ns = until_ns;
  return true;
}

namespace {

bool block(engine_binding* binding, std::uint64_t hi, std::uint64_t lo, std::uint32_t bits, double seconds) noexcept {
  const engine_addr first{hi, lo};
  auto* const blocks = reinterpret_cast<Blocks*>(binding->blocks);
  if (blocks != nullptr && !(bits == 128 && is_unspecified(first)) && blocks->ask(*binding, first, bits, seconds))
    return true;
  ++binding->actions_refused;
  return false;
}

// No source has a bypass list so far.
bool bypass(engine_binding* binding) noexcept {
  ++binding->actions_refused;
  return false;
}

}  // namespace

const engine_block_natives& block_natives() noexcept {
  static constexpr engine_block_natives table = {block, bypass};
  return table;
}

}  // namespace plugins
