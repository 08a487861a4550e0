#include "engine/enforce/blocked_sources.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace engine {

BlockedSources::BlockedSources(Kernel kernel, Room room, const std::vector<Source>& permanent,
                               std::vector<Source> never)
    : kernel_(std::move(kernel)), never_(std::move(never)) {
  list_.reserve(permanent.size());
  for (const Source& source : permanent) {
    if (list_.find(source) != nullptr) continue;
    list_.insert(source, {});
    if (source.is_address()) ++addresses_;
  }
  max_addresses_ = addresses() + room.addresses;
  max_networks_ = networks() + room.networks;
}

BlockedSources::Outcome BlockedSources::block(const Source& source, std::uint8_t by, std::uint64_t until_ns,
                                              bool even_never) {
  if (const auto* known = list_.find(source)) {
    if (known->until_ns == TimedList<Source>::kForGood) return Outcome::permanent;
    list_.put_off(source, until_ns);
    return Outcome::extended;
  }
  if (!even_never && std::ranges::any_of(never_, [&](const Source& one) { return overlap(one, source); }))
    return Outcome::never;
  if (source.is_address() ? !has_room_for_addresses() : !has_room_for_networks()) return Outcome::full;
  error_ = kernel_.add(source);
  if (error_ != 0) return Outcome::failed;
  list_.insert(source, {until_ns, by});
  if (source.is_address()) ++addresses_;
  return Outcome::blocked;
}

// Somebody else may have taken it out of the kernel's list: then it is as wanted.
int BlockedSources::take_out(const Source& source) {
  const int error = kernel_.remove(source);
  if (error != 0 && error != ENOENT) return error_ = error;
  if (source.is_address()) --addresses_;
  return 0;
}

int BlockedSources::unblock(const Source& source) {
  if (list_.find(source) == nullptr) return ENOENT;
  if (const int error = take_out(source); error != 0) return error;
  list_.erase(source);
  return 0;
}

void BlockedSources::expire(std::uint64_t now_ns, std::size_t limit,
                            const std::function<void(const Source&, std::uint8_t)>& gone) {
  list_.expire(now_ns, limit, [&](const Source& source, const auto& entry) {
    if (take_out(source) != 0) return false;
    gone(source, entry.by);
    return true;
  });
}

}  // namespace engine
