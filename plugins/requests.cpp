#include "plugins/requests.h"

#include <algorithm>
#include <cstring>

#include "plugins/hash.h"
#include "plugins/request_native.h"

namespace plugins {
namespace {

// The address of no host: packets without one have `::` (plugins/abi.h), hosts that are about to get one send from
// either (RFC 4291, section 2.5.2; RFC 1122, section 3.2.1.3). Blocked, a network would lose new hosts.
bool is_unspecified(const engine_addr& address) noexcept {
  constexpr std::uint64_t kMappedZero = 0xffff0000;  // ::ffff:0.0.0.0, its bytes read in memory order
  return address._hi == 0 && (address._lo == 0 || address._lo == kMappedZero);
}

std::uint8_t kind_of(const engine_block&) noexcept { return ENGINE_MESSAGE_BLOCK; }
std::uint8_t kind_of(const engine_bypass&) noexcept { return ENGINE_MESSAGE_BYPASS; }
std::uint8_t kind_of(const engine_rate_limit&) noexcept { return ENGINE_MESSAGE_RATE_LIMIT; }

// The same but for its length.
template <class What>
bool same(const What& a, What b) noexcept {
  b.seconds = a.seconds;
  return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace

bool Requests::is_full(std::uint32_t list) const noexcept {
  // relaxed: a late look sends a request that is refused at the list.
  return (full_.load(std::memory_order_relaxed) & list) != 0;
}

// A collision costs a message, so the hash needs no secret.
template <class What>
bool Requests::ask(engine_binding& from, Recent<What>& recent, std::uint64_t hash, const What& what,
                   double seconds) noexcept {
  const engine_packet& now = from.packets[from.cell.next];
  const double until_ns = now.time + seconds * 1e9;
  Asked<What>& asked = recent[hash % recent.size()];
  const bool known = asked.plugin == from.plugin && same(asked.what, what);
  if (known && until_ns - asked.until_ns < std::min(kSame_ns, kSameShare * seconds * 1e9)) return true;

  constexpr auto kLength = static_cast<std::uint32_t>(sizeof(engine_message) + sizeof(What));
  engine_outbox& outbox = from.outbox;
  if (outbox.used > outbox.limit || outbox.limit - outbox.used < kLength) return false;
  const engine_message head{kLength, kind_of(what), static_cast<std::uint8_t>(from.plugin), 0, now.time, now._place};
  std::memcpy(outbox.data + outbox.used, &head, sizeof head);
  std::memcpy(outbox.data + outbox.used + sizeof head, &what, sizeof what);
  outbox.used += kLength;
  std::memcpy(static_cast<void*>(&asked.what), &what, sizeof what);
  asked.plugin = from.plugin;
  asked.until_ns = until_ns;
  return true;
}

bool Requests::block(engine_binding& from, const engine_addr& first, std::uint32_t bits, double seconds) noexcept {
  if (is_full(bits == 128 ? kNoAddresses : kNoNetworks)) return false;
  const engine_block request{first, seconds, bits, 0};
  return ask(from, blocks_, mix(first._hi ^ bits, first._lo ^ kOddHash), request, seconds);
}

bool Requests::bypass(engine_binding& from, const engine_packet& packet, double seconds) noexcept {
  const bool ports = has_ports(packet.proto);
  if (packet.ip_version == 0 || (ports && packet.src_port == 0 && packet.dst_port == 0)) return false;
  if (is_full(kNoFlows)) return false;
  const engine_bypass request{packet.src,
                              packet.dst,
                              seconds,
                              ports ? packet.src_port : std::uint16_t{0},
                              ports ? packet.dst_port : std::uint16_t{0},
                              packet.proto,
                              0,
                              0};
  return ask(from, bypasses_, packet.hash, request, seconds);
}

bool Requests::limit_rate(engine_binding& from, std::uint32_t max_pps, double seconds) noexcept {
  // By the plugin alone: a new figure takes the place of the one before.
  return ask(from, limits_, from.plugin, engine_rate_limit{seconds, max_pps, 0}, seconds);
}

namespace {

Requests* requests_of(engine_binding* binding) noexcept { return reinterpret_cast<Requests*>(binding->requests); }

bool counted(engine_binding* binding, bool taken) noexcept {
  if (!taken) ++binding->actions_refused;
  return taken;
}

bool block(engine_binding* binding, std::uint64_t hi, std::uint64_t lo, std::uint32_t bits, double seconds) noexcept {
  const engine_addr first{hi, lo};
  Requests* const requests = requests_of(binding);
  return counted(binding, requests != nullptr && !(bits == 128 && is_unspecified(first)) &&
                              requests->block(*binding, first, bits, seconds));
}

bool bypass(engine_binding* binding, const engine_packet* packet, double seconds) noexcept {
  Requests* const requests = requests_of(binding);
  return counted(binding, requests != nullptr && requests->bypass(*binding, *packet, seconds));
}

bool limit_rate(engine_binding* binding, double max_pps, double seconds) noexcept {
  Requests* const requests = requests_of(binding);
  return counted(binding,
                 requests != nullptr && requests->limit_rate(*binding, static_cast<std::uint32_t>(max_pps), seconds));
}

}  // namespace

const engine_request_natives& request_natives() noexcept {
  static constexpr engine_request_natives table = {block, bypass, limit_rate};
  return table;
}

}  // namespace plugins
