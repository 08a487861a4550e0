#include "bpf/xdp_link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "bpf/foreign.h"
#include "bpf/kernel_error.h"
#include "bpf/options.h"

namespace bpf {
namespace {

struct Attached {
  std::uint32_t program_id = 0;
  AttachMode mode = AttachMode::detached;
};

Attached query(unsigned ifindex, const std::string& ifname) {
  const QuietLibbpf quiet;
  Options<bpf_xdp_query_opts> options;
  if (const int error = bpf_xdp_query(static_cast<int>(ifindex), 0, &options); error != 0)
    throw kernel_error("ask for the XDP program of " + ifname, -error);
  Attached attached;
  attached.program_id = options.prog_id;  // 0 where several modes are in use at a time
  for (const std::uint32_t id : {options.drv_prog_id, options.skb_prog_id, options.hw_prog_id})
    if (attached.program_id == 0) attached.program_id = id;
  if (attached.program_id != 0)
    attached.mode = options.attach_mode == XDP_ATTACHED_SKB ? AttachMode::generic : AttachMode::native;
  return attached;
}

engine::SetupError foreign_refused(const std::string& ifname, std::uint32_t program_id) {
  return {engine::ExitCode::machine_cannot, "attach to " + ifname,
          "another XDP " + describe_program(program_id) + " is attached there",
          "detach it, or take its place with --replace"};
}

// What the common refusals of native mode mean. The kernel's own words for them go to netlink only, and a link is not
// made by netlink.
std::string native_refusal(int error) {
  std::string reason = std::strerror(error);
  switch (error) {
    case EOPNOTSUPP:
      return reason + ", the driver has no native XDP";
    case ERANGE:  // drivers/net/veth.c: veth_xdp_set; many others answer EINVAL
    case EINVAL:
      return reason + ", the MTU or the queues' set-up may not suit the driver's XDP";
    case ENOSPC:
      return reason + ", fewer receive queues here than the peer (veth) has transmit queues, or none left";
    default:
      return reason;
  }
}

int create_link(int program_fd, unsigned ifindex, AttachMode mode) noexcept {
  Options<bpf_link_create_opts> options;
  options.flags =
      mode == AttachMode::native ? static_cast<__u32>(XDP_FLAGS_DRV_MODE) : static_cast<__u32>(XDP_FLAGS_SKB_MODE);
  const int fd = bpf_link_create(program_fd, static_cast<int>(ifindex), BPF_XDP, &options);
  return fd >= 0 ? fd : -errno;
}

std::uint32_t program_id_of(int program_fd) {
  bpf_prog_info info = {};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0) throw kernel_error("read the program's id", errno);
  return info.id;
}

}  // namespace

std::uint32_t attached_program(unsigned ifindex, const std::string& ifname) {
  return query(ifindex, ifname).program_id;
}

XdpLink XdpLink::attach(int program_fd, unsigned ifindex, const std::string& ifname, AttachRequest request,
                        Foreign foreign) {
  if (const std::uint32_t id = attached_program(ifindex, ifname); id != 0) {
    if (foreign == Foreign::refuse) throw foreign_refused(ifname, id);
    remove_foreign(ifindex, ifname, id);
  }
  XdpLink link;
  int fd = -1;
  if (request != AttachRequest::generic) {
    // Without a mode in the flags the kernel falls back to generic and tells nobody.
    fd = create_link(program_fd, ifindex, AttachMode::native);
    if (fd < 0 && request == AttachRequest::automatic && fd != -EPERM) {
      link.fallback_reason_ = native_refusal(-fd);
      fd = create_link(program_fd, ifindex, AttachMode::generic);
    }
  } else {
    fd = create_link(program_fd, ifindex, AttachMode::generic);
  }
  if (fd < 0) {
    if (const std::uint32_t id = attached_program(ifindex, ifname); id != 0) throw foreign_refused(ifname, id);
    if (request == AttachRequest::native && fd != -EPERM)
      throw engine::SetupError(engine::ExitCode::machine_cannot, "attach natively to " + ifname, native_refusal(-fd),
                               "leave the mode to the engine, or ask for generic XDP with --mode skb");
    if (fd == -EPERM) throw kernel_error("attach to " + ifname, -fd);
    throw kernel_error("attach to " + ifname, -fd).or_another_way();
  }
  link.link_.reset(fd);
  const Attached now = query(ifindex, ifname);
  if (now.program_id != program_id_of(program_fd))
    throw engine::SetupError(engine::ExitCode::machine_cannot, "attach to " + ifname,
                             "the kernel reports " + describe_program(now.program_id) + " instead of ours");
  link.mode_ = now.mode;
  return link;
}

XdpLink& XdpLink::operator=(XdpLink&& other) noexcept {
  if (this != &other) {
    detach();
    link_ = std::move(other.link_);
    pass_ = std::move(other.pass_);
    mode_ = other.mode_;
    fallback_reason_ = std::move(other.fallback_reason_);
  }
  return *this;
}

void XdpLink::update(int program_fd) {
  if (bpf_link_update(link_.get(), program_fd, nullptr) != 0) throw kernel_error("exchange the root program", errno);
}

void XdpLink::prepare_pass() {
  constexpr std::array<bpf_insn, 2> code{bpf_insn{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, XDP_PASS},
                                         bpf_insn{BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  Options<bpf_prog_load_opts> options;
  options.expected_attach_type = BPF_XDP;
  const QuietLibbpf quiet;
  // With frags it does for every MTU; kernels before 5.18 know neither.
  for (const __u32 flags : {__u32{BPF_F_XDP_HAS_FRAGS}, __u32{0}}) {
    options.prog_flags = flags;
    pass_.reset(bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "Dual MIT/GPL", code.data(), code.size(), &options));
    if (pass_.valid()) return;
  }
  throw kernel_error("load a program that passes all frames", errno);
}

void XdpLink::pass() noexcept {
  if (!pass_.valid() || bpf_link_update(link_.get(), pass_.get(), nullptr) != 0) detach();
}

void XdpLink::detach() noexcept {
  if (!link_.valid()) return;
  // Closing alone would leave the program there if a child process had inherited the descriptor.
  bpf_link_detach(link_.get());
  link_.reset();
  pass_.reset();
}

}  // namespace bpf
