// Hashing of packed keys with a secret: flooding with colliding keys must not be possible from the wire.
#pragma once

#include <sys/random.h>

#include <cstdint>

namespace plugins {

inline constexpr std::uint64_t kOddHash = 0x9e3779b97f4a7c15u;

// Folded 64x64 -> 128 bit multiplication: the mixing step of wyhash.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const auto product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

struct HashSecret {
  std::uint64_t seed = 0;
  std::uint64_t odd = kOddHash;  // unknown too: a word equal to it would hide the other of its pair

  // Two random words; without a random source, what differs from one table to the next.
  static HashSecret draw() noexcept {
    HashSecret secret;
    if (getrandom(&secret, sizeof secret, 0) != sizeof secret) {
      secret = {reinterpret_cast<std::uintptr_t>(&secret) ^ kOddHash, kOddHash};
    }
    return secret;
  }
};

// Two words at a time.
inline std::uint64_t hash_words(const std::uint64_t* key, std::uint32_t words, const HashSecret& secret) noexcept {
  std::uint64_t h = secret.seed;
  std::uint32_t i = 0;
  for (; i + 1 < words; i += 2) h = mix(key[i] ^ h, key[i + 1] ^ secret.odd);
  if (i < words) h = mix(key[i] ^ h, kOddHash);
  return h;
}

inline bool equal_words(const std::uint64_t* a, const std::uint64_t* b, std::uint32_t words) noexcept {
  std::uint64_t different = 0;
  for (std::uint32_t i = 0; i < words; ++i) different |= a[i] ^ b[i];
  return different == 0;
}

}  // namespace plugins
