#include "plugins/flows/community_id.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>

#include <cstring>
#include <utility>

#include "plugins/flows/flow_key.h"

namespace plugins {
namespace {

// IPv4 counts with its four bytes.
struct Address {
  std::uint8_t bytes[16];
  std::size_t from;
  explicit Address(const engine_addr& address) noexcept {
    static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::memcpy(bytes, &address, sizeof bytes);
    from = std::memcmp(bytes, kMapped, sizeof kMapped) == 0 ? 12 : 0;
  }
};

bool has_ports(std::uint8_t proto) noexcept {
  return proto == kTcp || proto == kUdp || proto == kSctp || proto == kIcmp || proto == kIcmp6;
}

bool is_one_way(const std::uint64_t* key) noexcept {
  const std::uint8_t proto = proto_of(key);
  if (proto != kIcmp && proto != kIcmp6) return false;
  const auto type = static_cast<std::uint8_t>(endpoint_of(key, 0).port);
  return icmp_ports(proto, type, 0).one_way;
}

}  // namespace

void write_community_id(const std::uint64_t* key, char* text) noexcept {
  FlowEndpoint from = endpoint_of(key, 0), to = endpoint_of(key, 1);
  const int order = std::memcmp(&from.address, &to.address, sizeof from.address);
  if ((order > 0 || (order == 0 && from.port > to.port)) && !is_one_way(key)) {
    std::swap(from, to);
  }
  const std::uint8_t seed[2] = {0, 0}, proto[2] = {proto_of(key), 0};
  const std::uint8_t ports[4] = {static_cast<std::uint8_t>(from.port >> 8), static_cast<std::uint8_t>(from.port),
                                 static_cast<std::uint8_t>(to.port >> 8), static_cast<std::uint8_t>(to.port)};
  const Address source(from.address), destination(to.address);
  sha1_ctx sha;
  sha1_init(&sha);
  sha1_update(&sha, sizeof seed, seed);
  sha1_update(&sha, sizeof source.bytes - source.from, source.bytes + source.from);
  sha1_update(&sha, sizeof destination.bytes - destination.from, destination.bytes + destination.from);
  sha1_update(&sha, sizeof proto, proto);
  if (has_ports(proto[0])) sha1_update(&sha, sizeof ports, ports);
  std::uint8_t digest[SHA1_DIGEST_SIZE];
  sha1_digest(&sha, sizeof digest, digest);
  static_assert(2 + BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) == kCommunityId_bytes);
  text[0] = '1';
  text[1] = ':';
  base64_encode_raw(text + 2, sizeof digest, digest);
}

std::string community_id(const std::uint64_t* key) {
  std::string text(kCommunityId_bytes, '\0');
  write_community_id(key, text.data());
  return text;
}

}  // namespace plugins
