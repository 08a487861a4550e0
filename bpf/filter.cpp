#include "bpf/filter.h"

#include <pcap/pcap.h>

#include <memory>

#include "engine/base/error.h"

namespace bpf {
namespace {

engine::SetupError filter_error(const std::string& text, const std::string& reason) {
  return {engine::ExitCode::bad_usage, "filter \"" + text + "\"", reason, "see pcap-filter(7) for the language"};
}

}  // namespace

static_assert(filter_ethernet == DLT_EN10MB);

std::vector<sock_filter> compile_filter(const std::string& text, std::uint32_t snaplen_bytes, int datalink) {
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> pcap(pcap_open_dead(datalink, static_cast<int>(snaplen_bytes)),
                                                            &pcap_close);
  if (!pcap) throw filter_error(text, "out of memory");
  bpf_program program = {};
  if (pcap_compile(pcap.get(), &program, text.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0)
    throw filter_error(text, pcap_geterr(pcap.get()));
  const std::unique_ptr<bpf_program, decltype(&pcap_freecode)> owner(&program, &pcap_freecode);
  std::vector<sock_filter> code;
  code.reserve(program.bf_len);
  for (const bpf_insn* insn = program.bf_insns; insn != program.bf_insns + program.bf_len; ++insn)
    code.push_back({static_cast<std::uint16_t>(insn->code), insn->jt, insn->jf, insn->k});
  return code;
}

}  // namespace bpf
