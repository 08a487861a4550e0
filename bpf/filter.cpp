#include "bpf/filter.h"

#include <pcap/pcap.h>

#include <algorithm>
#include <memory>

#include "engine/base/error.h"

namespace bpf {
namespace {

constexpr auto offset_beside_the_frame = static_cast<std::uint32_t>(SKF_LL_OFF);

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
  refuse_untranslatable(code, text);
  return code;
}

void refuse_untranslatable(std::span<const sock_filter> code, const std::string& text) {
  const auto refuse = [&](const char* why) {
    throw engine::SetupError(engine::ExitCode::bad_usage, "filter \"" + text + "\"", why,
                             "leave that part of the filter to the analyzer, or to tcpdump");
  };
  for (const sock_filter& insn : code) {
    if (insn.code == (BPF_JMP | BPF_JA) && static_cast<std::int32_t>(insn.k) < 0)
      refuse("has a loop, as `protochain` makes");
    // Offsets that the kernel's socket filters give another meaning (uapi/linux/filter.h); libpcap uses them too.
    const auto mode = BPF_MODE(insn.code);
    if (BPF_CLASS(insn.code) <= BPF_LDX && (mode == BPF_ABS || mode == BPF_IND) && insn.k >= offset_beside_the_frame)
      refuse("asks for something that is not in the frame (`inbound`, `outbound`, `ifindex`)");
  }
}

std::optional<FilterExpression> kernel_filter(const std::string& operator_text,
                                              std::span<const std::string> plugin_texts) {
  FilterExpression expression(operator_text);
  for (const std::string& text : plugin_texts) {
    if (text.empty()) {
      expression.any_of.clear();
      break;
    }
    if (std::ranges::find(expression.any_of, text) == expression.any_of.end()) expression.any_of.push_back(text);
  }
  if (expression.required.empty() && expression.any_of.empty()) return std::nullopt;
  return expression;
}

std::string FilterExpression::text() const {
  std::string alternatives;
  for (const std::string& each : any_of) alternatives.append(alternatives.empty() ? "(" : " or (").append(each + ")");
  if (alternatives.empty()) return required;
  if (required.empty()) return alternatives;
  return "(" + required + ") and (" + alternatives + ")";
}

}  // namespace bpf
