// libpcap's own interpreter, as the other party that says whether a frame matches. Apart from the rest because libpcap
// and the kernel each define struct bpf_insn.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bpf_test {

// With libpcap's optimizer, as tcpdump has it: without, `net 2001:db8::/32` also loads the words that its mask ignores,
// and a frame cut off there does not match.
class PcapFilter {
 public:
  explicit PcapFilter(const std::string& text);
  ~PcapFilter();
  PcapFilter(const PcapFilter&) = delete;
  PcapFilter& operator=(const PcapFilter&) = delete;

  bool matches(std::span<const std::uint8_t> frame) const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

// The Ethernet frames of a capture file, as far as they were captured; none if it is no capture or not of Ethernet.
std::vector<std::vector<std::uint8_t>> frames_of_capture(const std::string& path);

// The interpreter over instructions made by a test; 0 is no match.
std::uint32_t interpret(const std::vector<sock_filter>& code, std::span<const std::uint8_t> frame);

}  // namespace bpf_test
