// A kernel of the test's own for what is kept of its lists, and short ways to write their entries.
#pragma once

#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/enforce/enforcement.h"

namespace enforce_test {

using engine::BlockedSources;
using engine::BypassedFlows;
using engine::Flow;
using engine::FlowFigures;
using engine::Source;

inline constexpr std::uint64_t kSecond_ns = 1'000'000'000;

inline Source source(const char* text) {
  bpf::BlockList list;
  bpf::add_block_entry(text, "test", list);
  return engine::sources_of(list).at(0);
}

// The n-th address, or network of 24 bits, of 10.0.0.0/8.
inline Source numbered(std::uint32_t n, bool network = false) {
  Source one = source("10.0.0.0/8");
  one.bits = network ? 120 : 128;
  if (network) n <<= 8;
  one.bytes[13] = static_cast<std::uint8_t>(n >> 16);
  one.bytes[14] = static_cast<std::uint8_t>(n >> 8);
  one.bytes[15] = static_cast<std::uint8_t>(n);
  return one;
}

inline Flow flow(const char* text) { return Flow::parse(text, "test"); }

struct FakeKernel {
  BlockedSources::Kernel blocks() {
    return {
        .add = [this](const Source& one) { return error != 0 ? error : (in.insert(one.text()), 0); },
        .remove = [this](const Source& one) { return error != 0                  ? error
                                                     : in.erase(one.text()) == 1 ? 0
                                                                                 : ENOENT; }};
  }
  BypassedFlows::Kernel flows() {
    const auto read = [this](const Flow& one, FlowFigures& figures) {
      if (error != 0) return error;
      const auto it = passed.find(one.text());
      if (it == passed.end()) return ENOENT;
      figures = it->second;
      return 0;
    };
    return {.add = [this](const Flow& one) { return error != 0 ? error : (passed[one.text()], 0); },
            .remove =
                [this, read](const Flow& one, FlowFigures& last) {
                  const int result = read(one, last);
                  if (result == 0) passed.erase(one.text());
                  return result;
                },
            .read = read};
  }
  engine::RateLimits::Kernel rate() {
    return [this](const engine::RateWish& wish) { return error != 0 ? error : (max_pps = wish.max_pps, 0); };
  }
  std::set<std::string> in;
  std::map<std::string, FlowFigures> passed;
  std::uint32_t max_pps = 0;
  int error = 0;
};

}  // namespace enforce_test
