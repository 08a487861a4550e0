#include "bpf/block_list.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "engine/base/error.h"

namespace bpf {
namespace {

[[noreturn]] void reject(std::string_view entry, std::string_view where, std::string_view reason) {
  throw engine::SetupError(engine::ExitCode::bad_usage, where, "\"" + std::string(entry) + "\" " + std::string(reason),
                           "give an IPv4 or IPv6 address, or a network as address/length");
}

bool has_bits_behind(const __u8* bytes, unsigned prefix_bits, unsigned all_bits) {
  for (unsigned bit = prefix_bits; bit < all_bits; ++bit)
    if (bytes[bit / 8] & (0x80U >> (bit % 8))) return true;
  return false;
}

}  // namespace

void add_block_entry(std::string_view entry, std::string_view where, BlockList& list) {
  const std::size_t slash = entry.find('/');
  const std::string host(entry.substr(0, slash));
  root_block_network network = {};
  if (inet_pton(AF_INET, host.c_str(), network.bytes) == 1)
    network.family = 4;
  else if (inet_pton(AF_INET6, host.c_str(), network.bytes) == 1)
    network.family = 6;
  else
    reject(entry, where, "is not an address");
  const unsigned all_bits = network.family == 4 ? 32 : 128;
  unsigned prefix_bits = all_bits;
  if (slash != std::string_view::npos) {
    const std::string_view length = entry.substr(slash + 1);
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), prefix_bits);
    if (error != std::errc() || end != length.data() + length.size() || prefix_bits > all_bits)
      reject(entry, where, "has no prefix length from 0 to " + std::to_string(all_bits));
  }
  if (has_bits_behind(network.bytes, prefix_bits, all_bits)) reject(entry, where, "has bits set behind its prefix");
  if (prefix_bits < all_bits) {
    network.prefix_bits = ROOT_FAMILY_BITS + prefix_bits;
    list.networks.push_back(network);
    return;
  }
  root_block_address address = {};
  if (network.family == 4) {
    address.bytes[10] = address.bytes[11] = 0xff;
    std::copy_n(network.bytes, 4, address.bytes + 12);
  } else {
    std::copy_n(network.bytes, 16, address.bytes);
  }
  list.addresses.push_back(address);
}

std::string_view trim_entry(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

void each_entry(const std::string& path, std::string_view what,
                const std::function<void(std::string_view, std::string_view)>& take) {
  const std::string object = std::string(what) + " " + path;
  std::ifstream file(path);
  if (!file) throw engine::SetupError(engine::ExitCode::bad_usage, object, std::strerror(errno));
  std::string line;
  for (unsigned number = 1; std::getline(file, line); ++number) {
    const std::string_view entry = trim_entry(std::string_view(line).substr(0, line.find('#')));
    if (!entry.empty()) take(entry, path + ":" + std::to_string(number));
  }
  if (file.bad()) throw engine::SetupError(engine::ExitCode::bad_usage, object, std::strerror(errno));
}

BlockList read_block_file(const std::string& path) {
  BlockList list;
  each_entry(path, "block list",
             [&](std::string_view entry, std::string_view where) { add_block_entry(entry, where, list); });
  return list;
}

}  // namespace bpf
