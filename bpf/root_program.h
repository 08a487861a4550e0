// The one XDP program per interface, with its maps: block list -> bypass list -> rate limit -> filter -> socket map,
// every frame counted.
//
// A RootProgram owns descriptors only: program, maps, and (once attached) the link. It is loaded, attached, exchanged
// and detached by the thread that sets up and ends the run; counters() and lists() may be used by any thread at any
// time. The order at the end is the caller's: clear_socket() for each queue, detach() or pass(), then close the
// sockets, then their memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "bpf/root_build.h"
#include "bpf/root_config.h"
#include "bpf/root_lists.h"
#include "bpf/xdp_link.h"

namespace bpf {

class RootProgram {
 public:
  // Throws SetupError: not_permitted (names the capability), bad_usage (filter), machine_cannot (kernel feature).
  static RootProgram load(const RootConfig& config);

  RootProgram(RootFds fds, std::uint32_t queues);
  RootProgram(RootProgram&&) noexcept = default;
  RootProgram& operator=(RootProgram&&) noexcept = default;
  ~RootProgram() = default;  // detaches: the link goes first, being the last member

  // Native is asked for first, then generic, as requested; what was obtained is read back from the kernel. Where the
  // configuration asks for hints and native was obtained, a variant that is bound to the device takes over. May be
  // called again, also for an interface that came back: same maps, new link.
  void attach(unsigned ifindex, const std::string& ifname, AttachRequest request, Foreign foreign);
  void detach() noexcept { link_.detach(); }  // may be called again
  // Instead of detach() where sockets must be closed before it: see XdpLink. pass() is detach() if nothing was
  // prepared.
  void prepare_pass() { link_.prepare_pass(); }
  void pass() noexcept { link_.pass(); }
  AttachMode attach_mode() const noexcept { return link_.mode(); }
  // Why native was not obtained, in the kernel's words; empty if it was or was not asked for.
  const std::string& fallback_reason() const noexcept { return link_.fallback_reason(); }

  // Of root_hint: what is written in front of frames now (if the driver knows it); 0: nothing. Then why, where they
  // were asked for.
  std::uint32_t hints() const noexcept { return bound_.valid() && link_.attached() ? bound_hints_ : 0; }
  const std::string& hints_refusal() const noexcept { return hints_refusal_; }

  // Other stages, while frames arrive: each frame is seen by the old program or by the new one, counters and sockets
  // are the same, nothing is lost. Of `config`: a list that was in stays in, with its entries, and grows to what is
  // asked for; entries of `block` are added; the rate limit is left alone if that stage was in; `queues` is not looked
  // at. Throws SetupError; then the old program stays, only entries of `block` may have been added. Needs CAP_BPF and
  // CAP_NET_ADMIN at the time of the call.
  void swap(const RootConfig& config);

  // Replaces the filter while frames arrive: each is judged by the old or by the new one. Throws SetupError(bad_usage)
  // for a text that libpcap does not take; the old filter then stays. Needs CAP_BPF at the time of the call.
  void set_filter(const FilterExpression& filter);
  bool has_filter_stage() const noexcept { return slots_.valid(); }

  // The socket must be bound to this queue: a frame redirected to any other is lost (EINVAL, net/xdp/xsk.c:
  // xsk_rcv_check) and shows only as a redirect error.
  void set_socket(std::uint32_t queue, int socket_fd);
  void clear_socket(std::uint32_t queue) noexcept;

  RootLists& lists() noexcept { return *lists_; }
  int block(const root_block_address& address) noexcept { return lists_->block(address); }
  int block(const root_block_network& network) noexcept { return lists_->block(network); }
  int unblock(const root_block_address& address) noexcept { return lists_->unblock(address); }
  int unblock(const root_block_network& network) noexcept { return lists_->unblock(network); }
  int bypass(const root_flow& flow) noexcept { return lists_->bypass(flow); }
  int unbypass(const root_flow& flow, root_flow_counters& last) noexcept { return lists_->unbypass(flow, last); }
  int set_rate_limit(const RateLimit& limit) noexcept { return lists_->set_rate_limit(limit); }

  root_counters counters(std::uint32_t queue) const;  // summed over CPUs

  // The one that runs. BPF_PROG_TEST_RUN does not take it while hints() is not 0.
  int program_fd() const noexcept { return hints() != 0 ? bound_.get() : program_.get(); }
  std::uint32_t socket_map_id() const noexcept { return socket_map_id_; }
  std::uint32_t program_id() const;
  std::uint32_t queues() const noexcept { return config_.queues; }

 private:
  void require_rate(const RateLimit& limit);
  RootReuse own_maps() const noexcept;
  RootReuse reusable(const RootConfig& next) const;
  RootConfig with_all_stages(const RootConfig& config) const;
  void fill_slots(const RootBuild& build, const engine::UniqueFd& slots) const;
  void prepare_slots(const RootBuild& build, const RootConfig& next);
  engine::UniqueFd build_bound(const RootConfig& config, const RootReuse& maps);
  bool update_link(const engine::UniqueFd& bound);

  RootConfig config_;  // as in force, without the entries of its lists
  unsigned ifindex_ = 0;
  engine::UniqueFd sockets_;
  engine::UniqueFd counters_;
  engine::UniqueFd slots_;
  // Kept until the next one: the kernel empties a program array when its last descriptor is closed
  // (kernel/bpf/arraymap.c: prog_array_map_clear), and a frame may be in a program that uses it.
  engine::UniqueFd old_slots_;
  std::unique_ptr<RootLists> lists_;
  engine::UniqueFd program_;
  engine::UniqueFd bound_;  // the variant that asks for hints
  std::uint32_t bound_hints_ = 0;
  std::string hints_refusal_;
  std::uint32_t socket_map_id_ = 0;
  XdpLink link_;
};

}  // namespace bpf
