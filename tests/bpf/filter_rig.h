// Runs translated filters by BPF_PROG_TEST_RUN in every shape that a frame can come in: linear, in several buffers, and
// as a socket buffer with its outer VLAN tag beside it.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "bpf/cbpf.h"
#include "bpf/tap_filter.h"
#include "engine/base/unique_fd.h"

namespace bpf_test {

inline bpf::ClassicExpression single(std::vector<sock_filter> code) {
  return {.groups = {{std::move(code)}}, .text = "random"};
}

// The filter's slots lead to two programs that tell by their verdicts which was reached.
class XdpRig {
 public:
  explicit XdpRig(bool frags, bool by_helpers = false);

  // Not valid if the verifier refuses it.
  engine::UniqueFd load(const bpf::ClassicExpression& expression) const;
  bpf::XdpTarget target() const { return {.slots_fd = slots_.get(), .frags = frags_, .by_helpers = by_helpers_}; }

  bool matches(int program_fd, std::span<const std::uint8_t> frame) const;
  // With frags: so many bytes, 14 at least, in the first buffer, the others behind it.
  bool matches_split(int program_fd, std::span<const std::uint8_t> frame, std::size_t linear_bytes) const;

 private:
  engine::UniqueFd load(const std::vector<bpf_insn>& code) const;
  void put(std::uint32_t slot, const engine::UniqueFd& program) const;

  bool frags_;
  bool by_helpers_;
  engine::UniqueFd slots_;
  engine::UniqueFd split_;        // drops so many bytes in front as the first four say, then calls the filter
  std::size_t linear_bytes_ = 0;  // of a frame that is longer
};

// The socket filter's instructions as a program for tc, which may be tested with a tag beside the frame.
class TapRig {
 public:
  TapRig();

  engine::UniqueFd load(const bpf::ClassicExpression& expression) const;
  bool matches(int program_fd, std::span<const std::uint8_t> frame) const;
  bool matches_untagged_by_kernel(int program_fd, std::span<const std::uint8_t> frame) const;

  // More than an Ethernet header (net/bpf/test_run.c), not counting the tag; the kernel takes two
  // types for a tag: 802.1Q and 802.1ad.
  static bool can_run(std::span<const std::uint8_t> frame);
  static bool can_untag(std::span<const std::uint8_t> frame);

 private:
  bool run_with_tag(int program_fd, std::span<const std::uint8_t> frame, std::uint32_t tag_type,
                    std::uint32_t tag_number) const;

  engine::UniqueFd counters_;
  engine::UniqueFd slots_;
  engine::UniqueFd complete_;  // makes the socket buffer what it is to be, then calls the filter
};

}  // namespace bpf_test
