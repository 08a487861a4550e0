// The root program's lists from user space: sources that are blocked, flows that are bypassed, the rate limit.
//
// Owns the maps. Any thread may call at any time: a mutex orders them, each call is a system call or two. From Linux
// 5.19 on no capability is needed.
//
// Calls return 0 or the errno: E2BIG or ENOSPC where a list is full, ENOENT where there is no such entry, EBADF where
// the program has no such stage.
#pragma once

#include <map>
#include <mutex>

#include "bpf/root_config.h"

namespace bpf {

struct FlowLess {
  bool operator()(const root_flow& a, const root_flow& b) const noexcept;
};

class RootLists {
 public:
  // Takes what concerns it out of `fds`, which stays otherwise.
  explicit RootLists(RootFds& fds);

  int block(const root_block_address& address) noexcept;
  int block(const root_block_network& network) noexcept;
  int unblock(const root_block_address& address) noexcept;
  int unblock(const root_block_network& network) noexcept;

  int bypass(const root_flow& flow) noexcept;  // one that is in keeps its figures
  int bypass_counters(const root_flow& flow, root_flow_counters& counters) const noexcept;
  // `last` is read as the entry is taken out. What a CPU is counting at that very moment shows in the ledger only.
  int unbypass(const root_flow& flow, root_flow_counters& last) noexcept;

  int set_rate_limit(const RateLimit& limit) noexcept;  // EINVAL for more than RateLimit::max_max_pps

  // Throws SetupError. For entries in bulk.
  void fill(const BlockList& list);

  // For another program over the same lists. Between hold() and the lock's end nobody else changes them.
  std::unique_lock<std::mutex> hold() const { return std::unique_lock(mutex_); }
  struct Maps {
    engine::UniqueFd live, addresses, networks, flows, rates;
  };
  const Maps& held() const noexcept { return maps_; }
  // Fills the new ones from those that they are to replace, and adds `more` to those that stay or come. Throws
  // SetupError.
  void copy_into(const RootFds& fresh, const BlockList& more);
  // They are in force, with what is to be known of them while frames arrive. Returns those that were replaced.
  Maps replace(RootFds& fresh) noexcept;
  // No program runs any more that looked into lists which have less in them.
  void look_up_again() noexcept;
  // The figures of a list of flows that was replaced and that no program counts in any more.
  void carry(const engine::UniqueFd& replaced_flows);

 private:
  int put_live() noexcept;
  int mark(__u32 root_live::*list) noexcept;
  int mark_blocked(__u32 root_live::*list) noexcept;
  void add_carried(const root_flow& flow, root_flow_counters& counters) const noexcept;

  mutable std::mutex mutex_;
  Maps maps_;
  root_live live_ = {};
  std::map<root_flow, root_flow_counters, FlowLess> carried_;
};

}  // namespace bpf
