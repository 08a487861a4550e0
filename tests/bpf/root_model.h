// What the root program should do with a frame, in plain C++ and written apart from it.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bpf/root_lists.h"
#include "tests/bpf/pcap_oracle.h"
#include "tests/bpf/support.h"

namespace bpf_test {

using Address = std::array<std::uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d

// Who a frame is from; nothing where no complete IP header can be found behind up to two VLAN tags.
struct Origin {
  int family;  // of the header: 4 or 6
  Address source;
  Address target;
  std::size_t header_at;
};
std::optional<Origin> origin_of(const Frame& frame);

// The flow, with ports where the frame has them; nothing where the IP header is not one.
std::optional<root_flow> flow_of(const Frame& frame);

class RootModel {
 public:
  void block(const std::string& text);  // address or network
  void bypass(const root_flow& flow) { flows_[flow] = {}; }
  void allow_per_source(std::uint64_t packets) { allowed_ = packets; }  // for good: time stands still
  void filter(const std::string& text) { filter_.emplace(text); }

  std::uint32_t judge(const Frame& frame);  // the verdict, with a socket in the slot; counts

  const root_counters& counters() const noexcept { return counters_; }
  const std::map<root_flow, root_flow_counters, bpf::FlowLess>& flows() const noexcept { return flows_; }

 private:
  struct Entry {
    int family;
    unsigned prefix_bits;
    Address bytes;
  };
  bool is_blocked(const Origin& origin) const;

  std::vector<Entry> entries_;
  std::map<root_flow, root_flow_counters, bpf::FlowLess> flows_;
  std::optional<std::uint64_t> allowed_;
  std::map<Address, std::uint64_t> sent_;
  std::optional<PcapFilter> filter_;
  root_counters counters_ = {};
};

}  // namespace bpf_test
