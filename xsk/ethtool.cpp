#include "xsk/ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "engine/base/unique_fd.h"

namespace xsk::ethtool {
namespace {

// One request; `data` starts with the ethtool command. False if the driver, or the kernel, does not answer it.
bool ask(std::string_view interface_name, void* data) noexcept {
  ifreq request{};
  if (interface_name.size() >= sizeof request.ifr_name) return false;
  interface_name.copy(request.ifr_name, interface_name.size());
  request.ifr_data = static_cast<char*>(data);
  // ethtool needs a socket only to say which network namespace is meant.
  const engine::UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return any.valid() && ::ioctl(any.get(), SIOCETHTOOL, &request) == 0;
}

std::string text(const char* field, std::size_t size) { return {field, ::strnlen(field, size)}; }

// A kernel structure with a flexible array, in memory that is aligned for it.
template <typename Header>
class Flexible {
 public:
  explicit Flexible(std::size_t array_bytes)
      : words_((sizeof(Header) + array_bytes + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t)) {}
  Header* get() noexcept { return reinterpret_cast<Header*>(words_.data()); }
  const std::byte* array() const noexcept { return reinterpret_cast<const std::byte*>(words_.data()) + sizeof(Header); }

 private:
  std::vector<std::uint64_t> words_;
};

std::uint32_t statistics_count(std::string_view interface_name) {
  Flexible<ethtool_sset_info> info(sizeof(std::uint32_t));
  info.get()->cmd = ETHTOOL_GSSET_INFO;
  info.get()->sset_mask = 1ULL << ETH_SS_STATS;
  if (!ask(interface_name, info.get()) || info.get()->sset_mask == 0) return 0;
  std::uint32_t count = 0;
  std::memcpy(&count, info.array(), sizeof count);
  return count;
}

}  // namespace

std::optional<std::string> driver(std::string_view interface_name) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  if (!ask(interface_name, &info)) return std::nullopt;
  return text(info.driver, sizeof info.driver);
}

std::optional<Channels> channels(std::string_view interface_name) {
  ethtool_channels raw{};
  raw.cmd = ETHTOOL_GCHANNELS;
  if (!ask(interface_name, &raw)) return std::nullopt;
  return Channels{raw.rx_count + raw.combined_count, raw.max_rx + raw.max_combined, raw.max_combined != 0};
}

std::optional<std::uint32_t> rx_ring_entries(std::string_view interface_name) {
  ethtool_ringparam raw{};
  raw.cmd = ETHTOOL_GRINGPARAM;
  if (!ask(interface_name, &raw) || raw.rx_pending == 0) return std::nullopt;
  return raw.rx_pending;
}

bool takes_vlan_tags_out(std::string_view interface_name) {
  ethtool_value flags{};
  flags.cmd = ETHTOOL_GFLAGS;
  return ask(interface_name, &flags) && (flags.data & ETH_FLAG_RXVLAN) != 0;
}

std::vector<Statistic> statistics(std::string_view interface_name) {
  const std::uint32_t count = statistics_count(interface_name);
  if (count == 0) return {};
  Flexible<ethtool_gstrings> names(std::size_t{count} * ETH_GSTRING_LEN);
  names.get()->cmd = ETHTOOL_GSTRINGS;
  names.get()->string_set = ETH_SS_STATS;
  names.get()->len = count;
  Flexible<ethtool_stats> values(std::size_t{count} * sizeof(std::uint64_t));
  values.get()->cmd = ETHTOOL_GSTATS;
  values.get()->n_stats = count;
  if (!ask(interface_name, names.get()) || !ask(interface_name, values.get())) return {};

  std::vector<Statistic> all(std::min({count, names.get()->len, values.get()->n_stats}));
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].name = text(reinterpret_cast<const char*>(names.array()) + i * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
    std::memcpy(&all[i].value, values.array() + i * sizeof(std::uint64_t), sizeof(std::uint64_t));
  }
  return all;
}

}  // namespace xsk::ethtool
