// Classic BPF (what libpcap compiles filters to) translated to eBPF instructions for an XDP program.
//
// The meaning is that of libpcap's interpreter (bpf_filter.c): 32-bit unsigned arithmetic, loads in network byte order,
// a load outside the captured bytes or a division by a zero X ends the filter without a match. Pure: no system calls.
#pragma once

#include <linux/bpf.h>
#include <linux/filter.h>

#include <span>
#include <string_view>
#include <vector>

namespace bpf {

// The program tail-calls slot `match_slot` of the program array `slots_fd` for a match, `no_match_slot` else; should
// the slot be empty it returns XDP_PASS. Throws SetupError(bad_usage), naming the instruction, for what cannot run in
// the kernel: backward jumps (`protochain`) and ancillary loads (`inbound`, `ifindex`).
std::vector<bpf_insn> translate_filter(std::span<const sock_filter> code, std::string_view text, int slots_fd,
                                       int match_slot, int no_match_slot);

}  // namespace bpf
