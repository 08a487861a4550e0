// Classic BPF (what libpcap compiles filters to) translated to eBPF instructions.
//
// The meaning is that of libpcap's interpreter (bpf_filter.c) over the frame as it was on the wire, VLAN tags in band:
// 32-bit unsigned arithmetic, loads in network byte order, a load outside the frame or a division by a zero X ends the
// program without a match. Pure: no system calls.
#pragma once

#include <linux/bpf.h>
#include <linux/filter.h>

#include <string>
#include <vector>

#include "bpf/filter.h"

namespace bpf {

// Programs joined: each group must have one that matches, an expression without a group matches everything. Texts
// cannot be joined instead: after `vlan`, `mpls` or `pppoes` libpcap shifts what follows to the right of it.
struct ClassicExpression {
  std::vector<std::vector<std::vector<sock_filter>>> groups;
  std::string text;  // for messages
};

// Each text by compile_filter.
ClassicExpression compile_expression(const FilterExpression& filter);

// For the root program's filter slot. It tail-calls slot `match_slot` of the program array for a match,
// `no_match_slot` else; should the slot be empty it returns XDP_PASS.
struct XdpTarget {
  int slots_fd = -1;
  int match_slot = 0;
  int no_match_slot = 1;
  bool frags = false;  // of frames in several buffers too (BPF_F_XDP_HAS_FRAGS, Linux 5.18)
  // Without CAP_PERFMON the verifier takes no sum of a packet pointer and a number that it does not know, and no
  // difference of two (kernel/bpf/verifier.c: sanitize_ptr_alu). Then a helper does both, slower (Linux 5.18).
  bool by_helpers = false;
};
std::vector<bpf_insn> translate_for_xdp(const ClassicExpression& expression, const XdpTarget& target);

// For an AF_PACKET socket, where the kernel has taken the outer VLAN tag out of the frame (net/core/dev.c:
// __netif_receive_skb_core). Returns the whole packet for a match, 0 else, and counts in element 0 of a
// PERCPU_ARRAY of TapCounters.
std::vector<bpf_insn> translate_for_tap(const ClassicExpression& expression, int counters_fd,
                                        bool ignore_outgoing = false);

// Both throw SetupError(bad_usage) for what cannot run in the kernel: see filter.h, refuse_untranslatable; and code
// that is too long.

}  // namespace bpf
