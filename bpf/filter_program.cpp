// The loading half of filter.h and tap_filter.h, apart from the compiling half: libpcap and the kernel each have a
// struct bpf_insn.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>

#include "bpf/cbpf.h"
#include "bpf/filter.h"
#include "bpf/kernel_error.h"
#include "bpf/options.h"
#include "bpf/root_abi.h"
#include "bpf/tap_filter.h"

namespace bpf {
namespace {

engine::UniqueFd load(bpf_prog_type type, const char* name, const std::vector<bpf_insn>& code, const std::string& text,
                      Options<bpf_prog_load_opts>& options) {
  const int fd = bpf_prog_load(type, name, "Dual MIT/GPL", code.data(), code.size(), &options);
  if (fd >= 0) return engine::UniqueFd(fd);
  const int error = errno;
  // Once more for the verifier's words; the first time without, because a log that overflows fails the load.
  std::string log(1 << 20, '\0');
  options.log_buf = log.data();
  options.log_size = static_cast<__u32>(log.size());
  options.log_level = 1;
  const int second = bpf_prog_load(type, name, "Dual MIT/GPL", code.data(), code.size(), &options);
  if (second >= 0) return engine::UniqueFd(second);
  throw kernel_error("load the filter \"" + text + "\"", error, log);
}

}  // namespace

ClassicExpression compile_expression(const FilterExpression& filter) {
  ClassicExpression expression;
  expression.text = filter.text();
  if (!filter.required.empty()) expression.groups.push_back({compile_filter(filter.required)});
  if (filter.any_of.empty()) return expression;
  std::vector<std::vector<sock_filter>>& any = expression.groups.emplace_back();
  for (const std::string& text : filter.any_of) any.push_back(compile_filter(text));
  return expression;
}

engine::UniqueFd load_filter(const FilterExpression& filter, int slots_fd, FilterOptions wanted) {
  const ClassicExpression classic = compile_expression(filter);
  const XdpTarget target = {
      .slots_fd = slots_fd, .match_slot = ROOT_SLOT_DELIVER, .no_match_slot = ROOT_SLOT_PASS, .frags = wanted.frags};
  // An update of the program array fails with EINVAL unless the type of attachment and the frags flag equal those of
  // the program that first used the array (kernel/bpf/core.c: __bpf_prog_map_compatible).
  Options<bpf_prog_load_opts> options;
  options.expected_attach_type = BPF_XDP;
  if (wanted.frags) options.prog_flags = BPF_F_XDP_HAS_FRAGS;
  return load(BPF_PROG_TYPE_XDP, "root_filter", translate_for_xdp(classic, target), classic.text, options);
}

TapFilter::TapFilter(bool ignore_outgoing)
    : counters_(bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "tap_counts", sizeof(std::uint32_t), sizeof(TapCounters), 1,
                               nullptr)),
      ignore_outgoing_(ignore_outgoing) {
  if (!counters_.valid()) throw kernel_error("create the counters of a socket's filter", errno);
}

engine::UniqueFd TapFilter::load(const FilterExpression& filter) const {
  const ClassicExpression classic = compile_expression(filter);
  Options<bpf_prog_load_opts> options;
  return bpf::load(BPF_PROG_TYPE_SOCKET_FILTER, "tap_filter",
                   translate_for_tap(classic, counters_.get(), ignore_outgoing_), classic.text, options);
}

TapCounters TapFilter::counters() const {
  const std::uint32_t only = 0;
  std::vector<TapCounters> by_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  if (bpf_map_lookup_elem(counters_.get(), &only, by_cpu.data()) != 0)
    throw kernel_error("read the counters of a socket's filter", errno);
  TapCounters sum;
  for (const TapCounters& cpu : by_cpu) {
    sum.seen += cpu.seen;
    sum.accepted += cpu.accepted;
    sum.rejected += cpu.rejected;
  }
  return sum;
}

}  // namespace bpf
