#include "engine/enforce/source.h"

#include <algorithm>
#include <cstring>

#include "engine/results/json.h"

namespace engine {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::uint8_t kMapped_bits = 96;

}  // namespace

Source Source::of(const engine_block& request) noexcept {
  Source source;
  std::memcpy(source.bytes.data(), &request.first, source.bytes.size());
  source.bits = static_cast<std::uint8_t>(std::min(request.bits, 128u));
  return source;
}

Source Source::of(const root_block_address& address) noexcept {
  Source source;
  std::memcpy(source.bytes.data(), address.bytes, source.bytes.size());
  return source;
}

Source Source::of(const root_block_network& network) noexcept {
  Source source;
  source.bits = static_cast<std::uint8_t>(network.prefix_bits - ROOT_FAMILY_BITS);
  if (network.family == 4) {
    source.bits = static_cast<std::uint8_t>(source.bits + kMapped_bits);
    std::ranges::copy(kMapped, source.bytes.begin());
    std::memcpy(source.bytes.data() + kMapped.size(), network.bytes, 4);
  } else {
    std::memcpy(source.bytes.data(), network.bytes, source.bytes.size());
  }
  return source;
}

bool Source::is_v4() const noexcept {
  return bits >= kMapped_bits && std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
}

root_block_address Source::address() const noexcept {
  root_block_address key{};
  std::memcpy(key.bytes, bytes.data(), bytes.size());
  return key;
}

root_block_network Source::network() const noexcept {
  root_block_network key{};
  const bool v4 = is_v4();
  key.family = v4 ? 4 : 6;
  key.prefix_bits = ROOT_FAMILY_BITS + bits - (v4 ? kMapped_bits : 0u);
  if (v4) {
    std::memcpy(key.bytes, bytes.data() + kMapped.size(), 4);
  } else {
    std::memcpy(key.bytes, bytes.data(), bytes.size());
  }
  return key;
}

std::string Source::text() const {
  engine_addr first{};
  std::memcpy(static_cast<void*>(&first), bytes.data(), bytes.size());
  std::string text = format_address(first);
  if (!is_address()) text += "/" + std::to_string(is_v4() ? bits - kMapped_bits : bits);
  return text;
}

bool overlap(const Source& a, const Source& b) noexcept {
  if (a.is_v4() != b.is_v4()) return false;
  const unsigned bits = std::min(a.bits, b.bits);
  if (std::memcmp(a.bytes.data(), b.bytes.data(), bits / 8) != 0) return false;
  if (bits % 8 == 0) return true;
  return ((a.bytes[bits / 8] ^ b.bytes[bits / 8]) >> (8 - bits % 8)) == 0;
}

std::vector<Source> sources_of(const bpf::BlockList& list) {
  std::vector<Source> sources;
  for (const root_block_address& address : list.addresses) sources.push_back(Source::of(address));
  for (const root_block_network& network : list.networks) sources.push_back(Source::of(network));
  return sources;
}

}  // namespace engine
