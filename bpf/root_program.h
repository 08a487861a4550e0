// The one XDP program per interface, with its maps: block list -> filter -> socket map, every frame counted.
//
// A RootProgram owns descriptors only: program, maps, and (once attached) the link. It is loaded, attached and detached
// by the thread that sets up and ends the run; counters(), block() and unblock() may be called by any thread at any
// time. The order at the end is the caller's: clear_socket() for each queue, detach(), then close the sockets, then
// their memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bpf/block_list.h"
#include "bpf/filter.h"
#include "bpf/root_abi.h"
#include "bpf/xdp_link.h"
#include "engine/base/unique_fd.h"

namespace bpf {

struct RootConfig {
  // Size of the socket map and of the counters: the receive queues that the interface has (or may grow to), not only
  // those that are captured. A frame of a queue beyond goes to the kernel's stack uncounted.
  std::uint32_t queues = 1;
  BlockList block;
  // Room for sources that are blocked while it runs, beside those of `block`. With either the stage is in.
  std::uint32_t more_addresses = 0;
  std::uint32_t more_networks = 0;
  std::optional<FilterExpression> filter;  // nothing: no filter stage, all frames go to the sockets
};

// Ready descriptors, for a program that was loaded elsewhere (a privileged helper, a test's own program). They are
// owned by the RootProgram made of them. `slots` is invalid where the program has no filter stage, the last two
// where it has no block list of that kind.
struct RootFds {
  engine::UniqueFd program;
  engine::UniqueFd sockets;    // XSKMAP by queue
  engine::UniqueFd counters;   // PERCPU_ARRAY of root_counters by queue
  engine::UniqueFd slots;      // PROG_ARRAY, see root_slot
  engine::UniqueFd addresses;  // HASH of root_block_address
  engine::UniqueFd networks;   // LPM_TRIE of root_block_network
};

class RootProgram {
 public:
  // Throws SetupError: not_permitted (names the capability), bad_usage (filter), machine_cannot (kernel feature).
  static RootProgram load(const RootConfig& config);

  RootProgram(RootFds fds, std::uint32_t queues);
  RootProgram(RootProgram&&) noexcept = default;
  RootProgram& operator=(RootProgram&&) noexcept = default;
  ~RootProgram() = default;  // detaches: the link goes first, being the last member

  // Native is asked for first, then generic, as requested; what was obtained is read back from the kernel.
  void attach(unsigned ifindex, const std::string& ifname, AttachRequest request, Foreign foreign);
  void detach() noexcept { link_.detach(); }  // may be called again
  AttachMode attach_mode() const noexcept { return link_.mode(); }
  // Why native was not obtained, in the kernel's words; empty if it was or was not asked for.
  const std::string& fallback_reason() const noexcept { return link_.fallback_reason(); }

  // Replaces the filter while frames arrive: each is judged by the old or by the new one. Throws SetupError(bad_usage)
  // for a text that libpcap does not take; the old filter then stays. Needs CAP_BPF at the time of the call.
  void set_filter(const FilterExpression& filter);
  bool has_filter_stage() const noexcept { return fds_.slots.valid(); }

  // The socket must be bound to this queue: a frame redirected to any other is lost (EINVAL, net/xdp/xsk.c:
  // xsk_rcv_check) and shows only as a redirect error.
  void set_socket(std::uint32_t queue, int socket_fd);
  void clear_socket(std::uint32_t queue) noexcept;

  // A source more or less in the block list, while frames arrive. 0 or the errno: E2BIG or ENOSPC where it is full,
  // ENOENT where there is no such entry, EBADF where there is no such stage. From Linux 5.19 on without capabilities.
  int block(const root_block_address& address) noexcept;
  int block(const root_block_network& network) noexcept;
  int unblock(const root_block_address& address) noexcept;
  int unblock(const root_block_network& network) noexcept;

  root_counters counters(std::uint32_t queue) const;  // summed over CPUs

  int socket_map_fd() const noexcept { return fds_.sockets.get(); }
  int program_fd() const noexcept { return fds_.program.get(); }
  std::uint32_t socket_map_id() const noexcept { return socket_map_id_; }
  std::uint32_t program_id() const noexcept { return program_id_; }
  std::uint32_t queues() const noexcept { return queues_; }

 private:
  RootFds fds_;
  std::uint32_t queues_;
  std::uint32_t program_id_ = 0;
  std::uint32_t socket_map_id_ = 0;
  XdpLink link_;
};

}  // namespace bpf
