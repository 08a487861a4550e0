// What the analyzers of bench/analyzer_bench.cpp see: frames laid out like a UMEM, more of them than the second-level
// cache holds, in random order as rings come to hand them out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/decode/decode.h"
#include "engine/gen/traffic.h"
#include "tests/plugins/messages.h"

namespace bench {

using test::Bytes;
using test::operator+;

inline constexpr std::uint32_t kFrames = 8192, kChunk_bytes = 2048, kHeadroom_bytes = 256, kBatch = 64;

// One of 5,000 names, by Zipf's law as names are asked for.
inline std::string host_name(std::uint32_t i) {
  static const std::vector<std::uint32_t> ranks = [] {
    std::vector<double> weights(5000);
    for (std::size_t rank = 0; rank < weights.size(); ++rank) weights[rank] = 1.0 / static_cast<double>(rank + 1);
    std::discrete_distribution<std::uint32_t> by_zipf(weights.begin(), weights.end());
    std::mt19937 random(2);
    std::vector<std::uint32_t> drawn(kFrames);
    for (std::uint32_t& rank : drawn) rank = by_zipf(random);
    return drawn;
  }();
  return "host" + std::to_string(ranks[i] * 7919 % 5000) + ".example" + std::to_string(ranks[i] % 7) + ".org";
}

// Questions and answers in turn; one answer in ten says that there is no such name.
inline Bytes dns_frame(std::uint32_t i) {
  using namespace test;
  if (i % 2 == 0) return udp4(1024 + i, 53, dns_query(host_name(i), i % 4 == 0 ? 1 : 28));
  const Bytes answer = dns_record(kToQuestion, 1, 60, be32(0xc0000200 + i));
  return udp4(53, 1024 + i,
              dns_header(i % 20 == 1 ? 0x8183 : 0x8180, 1, 1) + dns_labels(host_name(i)) + be16(1) + be16(1) + answer);
}

// One in thirty-two offers nothing better than TLS 1.0.
inline Bytes tls_frame(std::uint32_t i) {
  using namespace test;
  const Bytes versions = i % 32 == 5 ? Bytes{2} + be16(0x0301) : Bytes{6} + be16(0xfafa) + be16(0x0304) + be16(0x0303);
  const Bytes extensions = tls_extension(0x2a2a, {}) + tls_extension(23, {}) + tls_extension(51, filled(38)) +
                           tls_extension(10, filled(10)) + tls_extension(13, filled(20)) +
                           tls_extension(16, be16(3) + Bytes{2, 'h', '2'}) + tls_extension(43, versions);
  return tcp4(1024 + i, 443, tls_record(tls_hello_body(extensions + tls_sni(host_name(i)))));
}

// 500 sources, each of which tries other hosts and ports.
inline Bytes syn_frame(std::uint32_t i) {
  using namespace test;
  const Bytes options = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7};
  return ethernet(0x0800) + ipv4({.proto = 6, .src = 0x0a000000 + i % 500, .dst = 0xc6120000 + i % 1009},
                                 tcp(40000, 1 + i % 1024, 2, {}, options));
}
// What the other side answers, and what comes then.
inline Bytes syn_ack_frame(std::uint32_t i) {
  using namespace test;
  return ethernet(0x0800) + ipv4({.proto = 6, .src = 0xc6120000 + i % 1009, .dst = 0x0a000000 + i % 500},
                                 tcp(1 + i % 1024, 40000, 0x12, {}));
}
inline Bytes ack_frame(std::uint32_t i) {
  using namespace test;
  return ethernet(0x0800) + ipv4({.proto = 6, .src = 0x0a000000 + i % 500, .dst = 0xc6120000 + i % 1009},
                                 tcp(40000, 1 + i % 1024, 0x10, {}));
}

enum class Mix { mixed, dns, tls, syn };

struct Frames {
  std::unique_ptr<std::uint8_t[], decltype(&std::free)> memory{nullptr, &std::free};
  std::vector<engine::FrameSpan> order;

  // `mixed`: the generator's realistic mix, part of it replaced by messages with names of their own and handshakes.
  explicit Frames(Mix mix) {
    memory.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kChunk_bytes, std::size_t{kFrames} * kChunk_bytes)));
    std::memset(memory.get(), 0, std::size_t{kFrames} * kChunk_bytes);
    const engine::gen::FrameSet built_in = engine::gen::builtin_frames(kFrames);
    for (std::uint32_t i = 0; i < kFrames; ++i) {
      const std::uint32_t kind = i % 16;
      if (mix == Mix::dns || (mix == Mix::mixed && kind < 2)) {
        put(i, dns_frame(i));
      } else if (mix == Mix::tls || (mix == Mix::mixed && kind == 2)) {
        put(i, tls_frame(i));
      } else if (mix == Mix::syn || (mix == Mix::mixed && kind == 3)) {
        put(i, syn_frame(i));
      } else if (mix == Mix::mixed && kind == 4) {
        put(i, syn_ack_frame(i - 1));
      } else if (mix == Mix::mixed && kind == 5) {
        put(i, ack_frame(i - 2));
      } else {
        const auto* frame = reinterpret_cast<const std::uint8_t*>(built_in.memory.data()) + built_in.offsets[i];
        put(i, Bytes(frame, frame + built_in.lengths[i]));
      }
    }
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
  }

 private:
  void put(std::uint32_t i, const Bytes& frame) {
    const std::uint64_t offset = std::uint64_t{i} * kChunk_bytes + kHeadroom_bytes;
    std::memcpy(memory.get() + offset, frame.data(), frame.size());
    order.push_back({offset, static_cast<std::uint32_t>(frame.size())});
  }
};

}  // namespace bench
