#include "tests/bpf/pcap_oracle.h"

#include <pcap/pcap.h>

#include <stdexcept>

namespace bpf_test {

struct PcapFilter::Program {
  bpf_program code = {};
  ~Program() { pcap_freecode(&code); }
};

PcapFilter::PcapFilter(const std::string& text) : program_(std::make_unique<Program>()) {
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> pcap(pcap_open_dead(DLT_EN10MB, 262144), &pcap_close);
  if (pcap_compile(pcap.get(), &program_->code, text.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0)
    throw std::runtime_error(text + ": " + pcap_geterr(pcap.get()));
}

PcapFilter::~PcapFilter() = default;

bool PcapFilter::matches(std::span<const std::uint8_t> frame) const {
  pcap_pkthdr header = {};
  header.caplen = header.len = static_cast<bpf_u_int32>(frame.size());
  return pcap_offline_filter(&program_->code, &header, frame.data()) != 0;
}

std::vector<std::vector<std::uint8_t>> frames_of_capture(const std::string& path) {
  std::vector<std::vector<std::uint8_t>> frames;
  char reason[PCAP_ERRBUF_SIZE];
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> pcap(pcap_open_offline(path.c_str(), reason), &pcap_close);
  if (!pcap || pcap_datalink(pcap.get()) != DLT_EN10MB) return frames;
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  while (pcap_next_ex(pcap.get(), &header, &bytes) == 1) frames.emplace_back(bytes, bytes + header->caplen);
  return frames;
}

std::uint32_t interpret(const std::vector<sock_filter>& code, std::span<const std::uint8_t> frame) {
  std::vector<bpf_insn> program;
  for (const sock_filter& insn : code) program.push_back({insn.code, insn.jt, insn.jf, insn.k});
  const auto size = static_cast<unsigned>(frame.size());
  return bpf_filter(program.data(), frame.data(), size, size);
}

}  // namespace bpf_test
