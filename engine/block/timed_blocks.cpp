#include "engine/block/timed_blocks.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace engine {

TimedBlocks::TimedBlocks(Kernel kernel, const std::vector<Source>& permanent, std::vector<Source> never)
    : kernel_(std::move(kernel)), permanent_(permanent.begin(), permanent.end()), never_(std::move(never)) {}

TimedBlocks::Outcome TimedBlocks::block(const Source& source, std::uint8_t plugin, double seconds,
                                        std::uint64_t now_ns) {
  const std::uint64_t until_ns = now_ns + static_cast<std::uint64_t>(seconds * 1e9);
  if (const auto known = entries_.find(source); known != entries_.end()) {
    if (until_ns > known->second.until_ns) {
      ends_.erase({known->second.until_ns, source});
      ends_.insert({until_ns, source});
      known->second.until_ns = until_ns;
    }
    return Outcome::extended;
  }
  if (permanent_.contains(source)) return Outcome::permanent;
  if (std::ranges::any_of(never_, [&](const Source& one) { return overlap(one, source); })) return Outcome::never;
  if (source.is_address() ? addresses() >= kMaxAddresses : networks() >= kMaxNetworks) return Outcome::full;
  error_ = kernel_.add(source);
  if (error_ != 0) return Outcome::failed;
  entries_.insert({source, {until_ns, plugin}});
  ends_.insert({until_ns, source});
  if (source.is_address()) ++addresses_;
  return Outcome::blocked;
}

void TimedBlocks::expire(std::uint64_t now_ns, std::size_t limit,
                         const std::function<void(const Source&, std::uint8_t)>& gone) {
  for (; limit > 0 && !ends_.empty() && ends_.begin()->first <= now_ns; --limit) {
    const Source source = ends_.begin()->second;
    const auto entry = entries_.find(source);
    ends_.erase(ends_.begin());
    if (const int error = kernel_.remove(source); error != 0 && error != ENOENT) {
      error_ = error;
      entry->second.until_ns = now_ns + kRetry_ns;
      ends_.insert({entry->second.until_ns, source});
      continue;
    }
    const std::uint8_t plugin = entry->second.plugin;
    entries_.erase(entry);
    if (source.is_address()) --addresses_;
    gone(source, plugin);
  }
}

}  // namespace engine
