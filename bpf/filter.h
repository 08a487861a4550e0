// `--filter`: tcpdump's language, compiled by libpcap and run by the kernel in the root program's filter slot.
//
// text --libpcap--> classic BPF --translate_filter (cbpf.h)--> eBPF --load_filter--> a program for the slot.
// Set-up code: may be called while frames arrive, by one thread.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/unique_fd.h"

namespace bpf {

inline constexpr std::uint32_t filter_snaplen_bytes = 262144;  // tcpdump's own default: more than any frame

inline constexpr int filter_ethernet = 1;  // DLT_EN10MB

// For frames of a link type (libpcap's DLT_ number). Throws SetupError(bad_usage) with libpcap's words. An empty text
// matches everything.
std::vector<sock_filter> compile_filter(const std::string& text, std::uint32_t snaplen_bytes = filter_snaplen_bytes,
                                        int datalink = filter_ethernet);

// Compiles, translates and loads; the program tail-calls ROOT_SLOT_DELIVER or ROOT_SLOT_PASS of `slots_fd` (a program
// array). Throws SetupError: bad_usage, or not_permitted without CAP_BPF.
engine::UniqueFd load_filter(const std::string& text, int slots_fd);

}  // namespace bpf
