#include "plugins/flows/flow_key.h"

#include <sys/random.h>

#include <iterator>

namespace plugins {
namespace {

struct Pair {
  std::uint8_t type;
  std::uint8_t answer;
};

// Both ways: RFC 792, 950, 1256 and RFC 4443, 4861, 2710, 4620, 6275, as the Community ID specification pairs them.
constexpr Pair kIcmpPairs[] = {{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}};
constexpr Pair kIcmp6Pairs[] = {{128, 129}, {133, 134}, {135, 136}, {130, 131}, {139, 140}, {144, 145}};

template <std::size_t count>
IcmpPorts ports_of(const Pair (&pairs)[count], std::uint8_t type, std::uint8_t code) noexcept {
  for (const Pair& pair : pairs) {
    if (type == pair.type) return {type, pair.answer, false};
    if (type == pair.answer) return {type, pair.type, false};
  }
  return {type, code, true};
}

// Digits of pi: no secret, the same everywhere.
constexpr FlowSecrets kPublic{
    {0x243f6a8885a308d3u, 0x13198a2e03707344u, 0xa4093822299f31d0u, 0x082efa98ec4e6c89u, 0x452821e638d01377u}};

}  // namespace

IcmpPorts icmp_ports(std::uint8_t proto, std::uint8_t type, std::uint8_t code) noexcept {
  return proto == kIcmp ? ports_of(kIcmpPairs, type, code) : ports_of(kIcmp6Pairs, type, code);
}

FlowSecrets random_secrets() noexcept {
  FlowSecrets secrets = kPublic;
  FlowSecrets random;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return secrets;
  for (std::size_t i = 0; i < std::size(secrets.words); ++i) secrets.words[i] ^= random.words[i];
  return secrets;
}

std::uint64_t flow_id(const std::uint64_t* key, bool handshake, std::uint32_t isn) noexcept {
  const std::uint64_t which = handshake ? std::uint64_t{1} << 32 | isn : 0;
  return fold_product(hash_key(key, kPublic) ^ which, 0xbe5466cf34e90c6du);
}

}  // namespace plugins
