// tcpdump's language, for the kernel and for the engine's own threads: one text, one meaning.
//
// text --libpcap--> classic BPF --cbpf.h--> eBPF --load_filter--> a program for the root program's filter slot, or
// (tap_filter.h) for an AF_PACKET socket. Files and plugins' own filters run the classic program by libpcap's
// interpreter. Set-up code: may be called while frames arrive, by one thread.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/unique_fd.h"

namespace bpf {

inline constexpr std::uint32_t filter_snaplen_bytes = 262144;  // tcpdump's own default: more than any frame

inline constexpr int filter_ethernet = 1;  // DLT_EN10MB

// For frames of a link type (libpcap's DLT_ number). Throws SetupError(bad_usage) with libpcap's words, and for what
// refuse_untranslatable refuses. An empty text matches everything. `vlan` reads the frame's own bytes: libpcap asks
// the kernel for a tag beside them only when it captures itself (gencode.c: BPF_SPECIAL_VLAN_HANDLING).
std::vector<sock_filter> compile_filter(const std::string& text, std::uint32_t snaplen_bytes = filter_snaplen_bytes,
                                        int datalink = filter_ethernet);

// Throws SetupError(bad_usage) naming what would not mean the same everywhere: backward jumps (`protochain`), which
// the kernel does not run, and loads of what is not in the frame (`inbound`, `outbound`, `ifindex`), which files lack.
void refuse_untranslatable(std::span<const sock_filter> code, const std::string& text);

// Which frames the kernel is to hand over: those that `required` matches and, if there are any, one of `any_of`.
struct FilterExpression {
  FilterExpression() = default;
  FilterExpression(std::string text) : required(std::move(text)) {}
  FilterExpression(const char* text) : required(text) {}

  std::string text() const;  // for people; not always what libpcap would take for the same (cbpf.h says why)
  bool operator==(const FilterExpression&) const = default;

  std::string required;             // empty: everything
  std::vector<std::string> any_of;  // each may be empty too, then the others do not matter
};

// The operator's filter (empty: none) and those of all plugins (empty for one that wants everything; no plugins: the
// engine's own summary does). Nothing: the kernel needs no filter. When plugins change, the kernel's is widened to
// both sets before and narrowed after, or the new plugin misses frames.
std::optional<FilterExpression> kernel_filter(const std::string& operator_text,
                                              std::span<const std::string> plugin_texts);

struct FilterOptions {
  bool frags = false;  // equal to the root program's, else the slot does not take it (EINVAL)
};

// Compiles, translates and loads; the program tail-calls ROOT_SLOT_DELIVER or ROOT_SLOT_PASS of `slots_fd` (a program
// array). Throws SetupError: bad_usage, or not_permitted without CAP_BPF.
engine::UniqueFd load_filter(const FilterExpression& filter, int slots_fd, FilterOptions options = {});

}  // namespace bpf
