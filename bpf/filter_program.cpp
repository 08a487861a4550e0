// The loading half of filter.h, apart from the compiling half: libpcap and the kernel each have a struct bpf_insn.
#include <bpf/bpf.h>

#include <cerrno>

#include "bpf/cbpf.h"
#include "bpf/filter.h"
#include "bpf/kernel_error.h"
#include "bpf/options.h"
#include "bpf/root_abi.h"

namespace bpf {

engine::UniqueFd load_filter(const std::string& text, int slots_fd) {
  const std::vector<sock_filter> classic = compile_filter(text);
  const std::vector<bpf_insn> code = translate_filter(classic, text, slots_fd, ROOT_SLOT_DELIVER, ROOT_SLOT_PASS);
  // An update of the program array fails with EINVAL unless the type of attachment equals that of the program that
  // first used the array (kernel/bpf/core.c: __bpf_prog_map_compatible).
  Options<bpf_prog_load_opts> options;
  options.expected_attach_type = BPF_XDP;
  const int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "root_filter", "Dual MIT/GPL", code.data(), code.size(), &options);
  if (fd >= 0) return engine::UniqueFd(fd);
  const int error = errno;
  // Once more for the verifier's words; the first time without, because a log that overflows fails the load.
  std::string log(1 << 20, '\0');
  options.log_buf = log.data();
  options.log_size = static_cast<__u32>(log.size());
  options.log_level = 1;
  const int second =
      bpf_prog_load(BPF_PROG_TYPE_XDP, "root_filter", "Dual MIT/GPL", code.data(), code.size(), &options);
  if (second >= 0) return engine::UniqueFd(second);
  throw kernel_error("load the filter \"" + text + "\"", error, log);
}

}  // namespace bpf
