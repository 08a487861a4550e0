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

struct Program {
  bpf_prog_type type;
  const char* name;
  std::vector<bpf_insn> code;
  std::uint32_t flags = 0;

  int load(std::string* log) const {
    Options<bpf_prog_load_opts> options;
    // An update of the program array fails with EINVAL unless the type of attachment and the frags flag equal those
    // of the program that first used the array (kernel/bpf/core.c: __bpf_prog_map_compatible).
    if (type == BPF_PROG_TYPE_XDP) options.expected_attach_type = BPF_XDP;
    options.prog_flags = flags;
    if (log != nullptr) {
      options.log_buf = log->data();
      options.log_size = static_cast<__u32>(log->size());
      options.log_level = 1;
    }
    return bpf_prog_load(type, name, "Dual MIT/GPL", code.data(), code.size(), &options);
  }

  // Once more for the verifier's words; the first time without, because a log that overflows fails the load.
  engine::UniqueFd load_or_explain(const std::string& text) const {
    if (const int fd = load(nullptr); fd >= 0) return engine::UniqueFd(fd);
    const int error = errno;
    std::string log(1 << 20, '\0');
    if (const int fd = load(&log); fd >= 0) return engine::UniqueFd(fd);
    throw kernel_error("load the filter \"" + text + "\"", error, log,
                       error == EACCES ? "before Linux 5.18 this takes CAP_PERFMON, too" : "");
  }
};

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
  XdpTarget target = {
      .slots_fd = slots_fd, .match_slot = ROOT_SLOT_DELIVER, .no_match_slot = ROOT_SLOT_PASS, .frags = wanted.frags};
  const Program direct = {BPF_PROG_TYPE_XDP, "root_filter", translate_for_xdp(classic, target),
                          wanted.frags ? BPF_F_XDP_HAS_FRAGS : 0};
  if (const int fd = direct.load(nullptr); fd >= 0) return engine::UniqueFd(fd);
  if (errno == EACCES) {
    target.by_helpers = true;
    const Program by_helpers = {direct.type, direct.name, translate_for_xdp(classic, target), direct.flags};
    if (const int fd = by_helpers.load(nullptr); fd >= 0) return engine::UniqueFd(fd);
  }
  return direct.load_or_explain(classic.text);
}

TapFilter::TapFilter(bool ignore_outgoing)
    : counters_(bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "tap_counts", sizeof(std::uint32_t), sizeof(TapCounters), 1,
                               nullptr)),
      ignore_outgoing_(ignore_outgoing) {
  if (!counters_.valid()) throw kernel_error("create the counters of a socket's filter", errno);
}

engine::UniqueFd TapFilter::load(const FilterExpression& filter) const {
  const ClassicExpression classic = compile_expression(filter);
  const Program program = {BPF_PROG_TYPE_SOCKET_FILTER, "tap_filter",
                           translate_for_tap(classic, counters_.get(), ignore_outgoing_)};
  return program.load_or_explain(classic.text);
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
