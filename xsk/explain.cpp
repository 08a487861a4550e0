#include "xsk/explain.h"

#include <cerrno>
#include <string>
#include <system_error>

namespace xsk {
namespace {

using engine::ExitCode;
using engine::SetupError;

// Not strerror: its buffer is shared between threads.
std::string words(int error) { return std::generic_category().message(error); }

std::string_view verb(SetupStep step) noexcept {
  switch (step) {
    case SetupStep::create_socket:
      return "open an AF_XDP socket for queue ";
    case SetupStep::register_umem:
      return "register packet memory for queue ";
    case SetupStep::create_rings:
      return "create the rings of queue ";
    case SetupStep::join:
      return "share packet memory with queue ";
    case SetupStep::bind:
    case SetupStep::bind_multi_buffer:
      break;
  }
  return "bind queue ";
}

std::string object(SetupStep step, const SetupContext& context) {
  return std::string(verb(step)) + std::to_string(context.queue.value()) + " of " + std::string(context.interface_name);
}

std::string mebibytes(std::uint64_t bytes) {
  const std::uint64_t tenths = (bytes * 10 + (1U << 19)) >> 20;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

// Where nothing else helps: the way in that every kernel has.
constexpr const char* other_way = "use --mode auto or --mode afpacket";

SetupError explain_create(int error, const std::string& what) {
  switch (error) {
    case EPERM:
      return {ExitCode::not_permitted, what, words(error), "run as root or with CAP_NET_RAW"};
    case EACCES:
      return {ExitCode::not_permitted, what, words(error) + ": a security module or container forbids it",
              "allow AF_XDP sockets there, or use --mode afpacket"};
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case ESOCKTNOSUPPORT:
      return SetupError(ExitCode::machine_cannot, what, "this kernel was built without AF_XDP",
                        "use a kernel with CONFIG_XDP_SOCKETS=y, or --mode afpacket")
          .or_another_way();
    case EMFILE:
      return {ExitCode::machine_cannot, what, words(error), "raise the limit (ulimit -n), or use fewer queues"};
    case ENFILE:
      return {ExitCode::machine_cannot, what, words(error), "raise it: sysctl fs.file-max"};
    case ENOMEM:
    case ENOBUFS:
      return {ExitCode::machine_cannot, what, words(error), "use fewer queues"};
    default:
      return {ExitCode::machine_cannot, what, words(error), other_way};
  }
}

SetupError explain_umem(int error, const std::string& what, const SetupContext& context) {
  switch (error) {
    // What the kernel says when locked memory is used up (xdp_umem_account_pages in net/xdp/xdp_umem.c).
    case ENOBUFS:
      return {ExitCode::not_permitted, what,
              "it needs " + mebibytes(context.umem_bytes) + " of locked memory and RLIMIT_MEMLOCK is " +
                  mebibytes(context.memlock_limit_bytes) + " for all queues together",
              "run with CAP_IPC_LOCK, raise the limit (ulimit -l unlimited), or use fewer queues"};
    case ENOMEM:
      return {ExitCode::machine_cannot, what, "not enough memory for " + mebibytes(context.umem_bytes),
              "use fewer queues or smaller rings (--rx-ring, --frames)"};
    case EINVAL:
      return {ExitCode::machine_cannot, what,
              "this kernel takes no frames of " + std::to_string(context.chunk_bytes) + " bytes", other_way};
    case ENOPROTOOPT:
      return {ExitCode::machine_cannot, what, "this kernel's AF_XDP is too old for that", other_way};
    default:
      return {ExitCode::machine_cannot, what, words(error), other_way};
  }
}

SetupError explain_rings(int error, const std::string& what) {
  switch (error) {
    case ENOMEM:
    case EAGAIN:  // mmap's word for too much locked memory
      return {ExitCode::machine_cannot, what, words(error), "use fewer queues or smaller rings (--rx-ring, --frames)"};
    case EPERM:
      return {ExitCode::not_permitted, what, words(error), "run as root or with CAP_NET_RAW"};
    // EOPNOTSUPP: RingMap's word for rings without a flags word.
    case ENOPROTOOPT:
    case EOPNOTSUPP:
      return {ExitCode::machine_cannot, what, "this kernel's AF_XDP is too old: its rings have no flags (Linux 5.4)",
              other_way};
    default:
      return {ExitCode::machine_cannot, what, words(error), other_way};
  }
}

SetupError explain_multi_buffer(const std::string& what, const SetupContext& context) {
  const std::string limit = std::to_string(context.single_frame_mtu);
  return {ExitCode::machine_cannot, what,
          "this kernel takes no packets that are longer than a frame (XDP_USE_SG, Linux 6.6); the MTU may be up to " +
              limit,
          "ip link set " + std::string(context.interface_name) + " mtu " + limit + ", or use --mode afpacket"};
}

SetupError explain_forced_zero_copy(int error, const std::string& what, const SetupContext& context) {
  const std::string reason =
      std::string("zero-copy was refused: ") + std::string(zero_copy_refusal(error, context.multi_buffer));
  if (!context.multi_buffer) return {ExitCode::machine_cannot, what, reason, "use --mode auto or --mode copy"};
  const std::string limit = std::to_string(context.single_frame_mtu);
  return {
      ExitCode::machine_cannot, what, reason + "; one frame holds packets up to MTU " + limit,
      "ip link set " + std::string(context.interface_name) + " mtu " + limit + ", or use --mode auto or --mode copy"};
}

SetupError explain_bind(SetupStep step, int error, const std::string& what, const SetupContext& context) {
  const std::string name(context.interface_name);
  switch (error) {
    case EBUSY:
      return {ExitCode::machine_cannot, what, "the queue is busy: another AF_XDP socket holds it",
              "end the program that holds it (ss --xdp -p shows it), or leave this queue out"};
    case EPERM:
      return {ExitCode::not_permitted, what, words(error), "run as root or with CAP_NET_RAW"};
    case ENODEV:
    case ENXIO:
      return {ExitCode::machine_cannot, what, "there is no such interface any more",
              "ip link show " + name + " tells whether it is back"};
    case ENETDOWN:
      return {ExitCode::machine_cannot, what, "the interface is down", "ip link set " + name + " up"};
    default:
      break;
  }
  if (context.zero_copy_forced) return explain_forced_zero_copy(error, what, context);
  if (error == ENOMEM)
    return {ExitCode::machine_cannot, what, "the kernel is out of memory for its bookkeeping of the frames",
            "use fewer queues or fewer frames (--frames)"};
  // xp_create_and_assign_umem() came with Linux 5.10 (commit b5aea28dca13); before, only one queue could use a UMEM.
  if (error == EINVAL && step == SetupStep::join)
    return {ExitCode::machine_cannot, what, "this kernel shares no packet memory between queues (Linux 5.10)",
            "use one queue a worker, or --mode afpacket"};
  // xsk_bind() in net/xdp/xsk.c and xsk_reg_pool_at_qid(): a queue number beyond the interface's queues.
  if (error == EINVAL)
    return {ExitCode::machine_cannot, what, "the kernel refused it: " + words(error),
            "ethtool -l " + name + " shows how many queues there are"};
  return {ExitCode::machine_cannot, what, words(error), other_way};
}

}  // namespace

std::string_view zero_copy_refusal(int error, bool multi_buffer) noexcept {
  switch (error) {
    case EOPNOTSUPP:
      return multi_buffer ? "the driver has no zero-copy AF_XDP for packets of several frames, as this MTU needs"
                          : "the driver has no zero-copy AF_XDP";
    case EINVAL:
      return multi_buffer ? "the kernel or the driver takes no packets of several frames, as this MTU needs"
                          : "the driver does not take this frame size, MTU or queue";
    case ENOMEM:
      return "the driver is out of memory";
    case EBUSY:
      return "the driver is busy";
    case ENETDOWN:
      return "the interface is down";
    default:
      return "the driver refused it";
  }
}

SetupError explain(SetupStep step, int error, const SetupContext& context) {
  const std::string what = object(step, context);
  switch (step) {
    case SetupStep::create_socket:
      return explain_create(error, what);
    case SetupStep::register_umem:
      return explain_umem(error, what, context);
    case SetupStep::create_rings:
      return explain_rings(error, what);
    case SetupStep::bind_multi_buffer:
      return explain_multi_buffer(what, context);
    case SetupStep::bind:
    case SetupStep::join:
      break;
  }
  return explain_bind(step, error, what, context);
}

}  // namespace xsk
