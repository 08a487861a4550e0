#include "bpf/root_lists.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "bpf/kernel_error.h"
#include "bpf/map_entries.h"

namespace bpf {
namespace {

constexpr __u8 kPresent = 1;

int put(const engine::UniqueFd& map, const void* key, const void* value, __u64 flags = BPF_ANY) noexcept {
  return bpf_map_update_elem(map.get(), key, value, flags) == 0 ? 0 : errno;
}

int take_out(const engine::UniqueFd& map, const void* key) noexcept {
  return bpf_map_delete_elem(map.get(), key) == 0 ? 0 : errno;
}

}  // namespace

bool FlowLess::operator()(const root_flow& a, const root_flow& b) const noexcept {
  return std::memcmp(&a, &b, sizeof a) < 0;  // no padding (root_abi.h)
}

RootLists::RootLists(RootFds& fds)
    : maps_{std::move(fds.live), std::move(fds.addresses), std::move(fds.networks), std::move(fds.flows),
            std::move(fds.rates)} {}

int RootLists::put_live() noexcept {
  const __u32 zero = 0;
  return put(maps_.live, &zero, &live_);
}

// Stays marked when the list runs empty: looking for that would cost more than the look-up that it saves.
int RootLists::mark(__u32 root_live::*list) noexcept {
  if (live_.*list != 0) return 0;
  live_.*list = 1;
  const int error = put_live();
  if (error != 0) live_.*list = 0;
  return error;
}

// Sources that were looked up before are looked up again. Comes after the entry.
int RootLists::mark_blocked(__u32 root_live::*list) noexcept {
  live_.*list = 1;
  ++live_.block_generation;
  return put_live();
}

int RootLists::block(const root_block_address& address) noexcept {
  const std::lock_guard lock(mutex_);
  const int error = put(maps_.addresses, &address, &kPresent);
  return error != 0 ? error : mark_blocked(&root_live::has_addresses);
}

int RootLists::block(const root_block_network& network) noexcept {
  const std::lock_guard lock(mutex_);
  const int error = put(maps_.networks, &network, &kPresent);
  return error != 0 ? error : mark_blocked(&root_live::has_networks);
}

int RootLists::unblock(const root_block_address& address) noexcept {
  const std::lock_guard lock(mutex_);
  return take_out(maps_.addresses, &address);
}

int RootLists::unblock(const root_block_network& network) noexcept {
  const std::lock_guard lock(mutex_);
  return take_out(maps_.networks, &network);
}

int RootLists::bypass(const root_flow& flow) noexcept {
  const std::lock_guard lock(mutex_);
  const root_flow_counters none = {};
  const int error = put(maps_.flows, &flow, &none, BPF_NOEXIST);
  if (error != 0 && error != EEXIST) return error;
  return mark(&root_live::has_flows);
}

int RootLists::bypass_counters(const root_flow& flow, root_flow_counters& counters) const noexcept {
  const std::lock_guard lock(mutex_);
  if (bpf_map_lookup_elem(maps_.flows.get(), &flow, &counters) != 0) return errno;
  add_carried(flow, counters);
  return 0;
}

int RootLists::unbypass(const root_flow& flow, root_flow_counters& last) noexcept {
  const std::lock_guard lock(mutex_);
  if (bpf_map_lookup_and_delete_elem(maps_.flows.get(), &flow, &last) != 0) return errno;
  add_carried(flow, last);
  carried_.erase(flow);
  return 0;
}

void RootLists::add_carried(const root_flow& flow, root_flow_counters& counters) const noexcept {
  const auto before = carried_.find(flow);
  if (before == carried_.end()) return;
  counters.packets += before->second.packets;
  counters.bytes += before->second.bytes;
}

int RootLists::set_rate_limit(const RateLimit& limit) noexcept {
  const std::lock_guard lock(mutex_);
  if (!maps_.rates.valid()) return EBADF;
  root_live next = live_;
  if (!set_rate(limit, kernel_tick_ns(), next)) return EINVAL;
  std::swap(live_, next);
  const int error = put_live();
  if (error != 0) live_ = next;
  return error;
}

void RootLists::fill(const BlockList& list) {
  const std::lock_guard lock(mutex_);
  copy_into({}, list);
  look_up_again();
}

// Flows start from zero: what was counted until the exchange is read when it is over (carry).
void RootLists::copy_into(const RootFds& fresh, const BlockList& more) {
  const std::string what = "copy the lists into larger ones";
  if (fresh.addresses.valid() && maps_.addresses.valid())
    copy_entries(maps_.addresses.get(), fresh.addresses.get(), sizeof(root_block_address), 1, what);
  if (fresh.networks.valid() && maps_.networks.valid())
    copy_entries(maps_.networks.get(), fresh.networks.get(), sizeof(root_block_network), 1, what);
  if (fresh.rates.valid() && maps_.rates.valid())
    copy_entries(maps_.rates.get(), fresh.rates.get(), sizeof(root_block_address), sizeof(root_bucket), what);
  const root_flow_counters none = {};
  if (fresh.flows.valid() && maps_.flows.valid())
    each_entry(maps_.flows.get(), sizeof(root_flow), sizeof none, [&](const void* key, const void*) {
      if (const int error = put(fresh.flows, key, &none); error != 0) throw kernel_error(what, error);
    });
  const engine::UniqueFd& addresses = fresh.addresses.valid() ? fresh.addresses : maps_.addresses;
  const engine::UniqueFd& networks = fresh.networks.valid() ? fresh.networks : maps_.networks;
  put_entries<root_block_address>(addresses.get(), more.addresses, kPresent, "fill the block list");
  put_entries<root_block_network>(networks.get(), more.networks, kPresent, "fill the block list");
  live_.has_addresses |= !more.addresses.empty();
  live_.has_networks |= !more.networks.empty();
  const engine::UniqueFd& live = fresh.live.valid() ? fresh.live : maps_.live;
  const __u32 zero = 0;
  if (!live.valid()) return;
  if (const int error = put(live, &zero, &live_); error != 0) throw kernel_error(what, error);
}

RootLists::Maps RootLists::replace(RootFds& fresh) noexcept {
  Maps replaced;
  const auto exchange = [](engine::UniqueFd& mine, engine::UniqueFd& theirs, engine::UniqueFd& before) {
    if (!theirs.valid()) return;
    before = std::move(mine);
    mine = std::move(theirs);
  };
  exchange(maps_.live, fresh.live, replaced.live);
  exchange(maps_.addresses, fresh.addresses, replaced.addresses);
  exchange(maps_.networks, fresh.networks, replaced.networks);
  exchange(maps_.flows, fresh.flows, replaced.flows);
  exchange(maps_.rates, fresh.rates, replaced.rates);
  return replaced;
}

void RootLists::look_up_again() noexcept {
  ++live_.block_generation;
  if (maps_.live.valid()) put_live();
}

void RootLists::carry(const engine::UniqueFd& replaced_flows) {
  each_entry(replaced_flows.get(), sizeof(root_flow), sizeof(root_flow_counters),
             [&](const void* key, const void* value) {
               root_flow flow;
               root_flow_counters counters;
               std::memcpy(&flow, key, sizeof flow);
               std::memcpy(&counters, value, sizeof counters);
               root_flow_counters& sum = carried_[flow];
               sum.packets += counters.packets;
               sum.bytes += counters.bytes;
             });
}

}  // namespace bpf
