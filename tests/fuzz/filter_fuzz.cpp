// A filter made of the input's bytes (tests/bpf/filter_texts.h has the grammar), up to two more as plugins have them,
// and frames: translated for every shape of a packet and run by the kernel, against libpcap's interpreter.
//
// Needs CAP_BPF and CAP_NET_ADMIN; exits with 77 and the reason where they are missing.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "engine/base/error.h"
#include "tests/bpf/filter_rig.h"
#include "tests/bpf/filter_texts.h"
#include "tests/bpf/frames.h"
#include "tests/bpf/pcap_oracle.h"

namespace {

using namespace bpf_test;

constexpr std::size_t head_bytes = 10;  // a seed, the filter's depth, how many plugins
constexpr std::size_t cached_filters = 300;

struct Rigs {
  XdpRig linear{false}, helpers{false, true}, frags{true};
  TapRig tap;
};
std::unique_ptr<Rigs> rigs;

[[noreturn]] void fail(const char* what, const bpf::FilterExpression& filter, const Frame& frame) {
  std::fprintf(stderr, "%s\nfilter: %s\nframe of %zu bytes:", what, filter.text().c_str(), frame.size());
  for (const std::uint8_t byte : frame) std::fprintf(stderr, " %02x", byte);
  std::fprintf(stderr, "\n");
  std::abort();
}

struct Tested {
  bpf::FilterExpression filter;
  PcapFilter required;
  std::vector<std::unique_ptr<PcapFilter>> any_of;
  engine::UniqueFd linear, helpers, frags, tap;

  explicit Tested(const bpf::FilterExpression& expression) : filter(expression), required(expression.required) {
    for (const std::string& text : filter.any_of) any_of.push_back(std::make_unique<PcapFilter>(text));
    const bpf::ClassicExpression classic = bpf::compile_expression(filter);
    linear = rigs->linear.load(classic);
    helpers = rigs->helpers.load(classic);
    frags = rigs->frags.load(classic);
    tap = rigs->tap.load(classic);
    if (!linear.valid() || !helpers.valid() || !frags.valid() || !tap.valid())
      fail("the verifier refused it", filter, {});
  }

  bool wants(const Frame& frame) const {
    const auto takes = [&](const std::unique_ptr<PcapFilter>& each) { return each->matches(frame); };
    return required.matches(frame) && (any_of.empty() || std::ranges::any_of(any_of, takes));
  }

  void judge(const Frame& frame, std::size_t first_bytes) const {
    const bool match = wants(frame);
    const auto expect = [&](bool answer, const char* what) {
      if (answer != match) fail(what, filter, frame);
    };
    if (frame.size() <= 3000) {  // what a page has room for
      expect(rigs->linear.matches(linear.get(), frame), "XDP, one buffer");
      expect(rigs->helpers.matches(helpers.get(), frame), "XDP, by helpers");
      if (TapRig::can_run(frame)) expect(rigs->tap.matches(tap.get(), frame), "socket buffer");
      if (TapRig::can_untag(frame)) expect(rigs->tap.matches_untagged_by_kernel(tap.get(), frame), "tag removed");
    }
    expect(rigs->frags.matches(frags.get(), frame), "XDP with frags, as it comes");
    first_bytes = std::clamp<std::size_t>(first_bytes, 14, std::min<std::size_t>(frame.size(), 3000));
    expect(rigs->frags.matches_split(frags.get(), frame, first_bytes), "XDP with frags, split");
  }
};

// Loading one costs as much as running a thousand: similar inputs make the same ones.
const Tested* tested(const bpf::FilterExpression& filter) {
  static std::map<std::string, std::optional<Tested>> cache;
  if (cache.size() > cached_filters) cache.clear();
  const auto [place, is_new] = cache.try_emplace(filter.text());
  if (is_new) {
    try {
      place->second.emplace(filter);
    } catch (const std::runtime_error&) {  // libpcap refuses one of them, such as `ip and ip6`
      try {
        bpf::compile_expression(filter);
        fail("libpcap alone refuses it", filter, {});
      } catch (const engine::SetupError&) {
      }
    }
  }
  return place->second ? &*place->second : nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  try {
    rigs = std::make_unique<Rigs>();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "needs root (CAP_BPF, CAP_NET_ADMIN) and Linux 5.18: %s\n", error.what());
    std::exit(77);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < head_bytes) return 0;
  std::uint64_t seed = 0;
  for (int i = 0; i < 8; ++i) seed = seed << 8 | data[i];
  std::size_t at = head_bytes;
  const Dice dice = [&]() -> std::uint64_t {
    if (at + 2 > size) return 0;
    at += 2;
    return static_cast<std::uint64_t>(data[at - 2] << 8 | data[at - 1]);
  };
  bpf::FilterExpression filter = random_text(dice, data[8] % 3);
  for (int plugins = data[9] % 3; plugins > 0; --plugins) filter.any_of.push_back(random_text(dice, 0));
  const Tested* const programs = tested(filter);
  if (programs == nullptr) return 0;

  std::mt19937_64 random(seed);
  for (int i = 0; i < 8; ++i) {
    Frame frame = random_frame(random);
    programs->judge(frame, random() % 100);
    if (i > 0) continue;
    frame.resize(4000 + random() % 5001);  // a jumbo frame
    for (int n = 0; n < 64; ++n) frame[random() % frame.size()] ^= static_cast<std::uint8_t>(random());
    programs->judge(frame, random() % 3000);
  }
  if (size - at >= 14 && size - at <= 3000) programs->judge(Frame(data + at, data + size), seed % 100);
  return 0;
}
