// The block list: source addresses and networks whose frames the root program drops.
//
// Plain values, made during set-up from a file (`--block FILE`) or from entries of the configuration, and written into
// the root program's maps before it is attached.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/root_abi.h"

namespace bpf {

struct BlockList {
  std::vector<root_block_address> addresses;
  std::vector<root_block_network> networks;

  bool empty() const noexcept { return addresses.empty() && networks.empty(); }
};

// Adds one entry: an IPv4 or IPv6 address, or a network as address/length. `where` ("FILE:LINE" or a key of the
// configuration) opens the error if the entry is not one, or if it has bits set behind its prefix: 10.0.0.1/8 is more
// often a slip than a wish for 10.0.0.0/8. Throws SetupError(bad_usage).
void add_block_entry(std::string_view entry, std::string_view where, BlockList& list);

std::string_view trim_entry(std::string_view text);

// Calls take(entry, "FILE:LINE") for each entry of a file that has one per line; `#` starts a comment. `what` names the
// file in errors. Throws SetupError(bad_usage).
void each_entry(const std::string& path, std::string_view what,
                const std::function<void(std::string_view entry, std::string_view where)>& take);

// Reads such a file. Throws SetupError(bad_usage).
BlockList read_block_file(const std::string& path);

}  // namespace bpf
