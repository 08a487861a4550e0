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
    case SetupStep::bind:
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

SetupError explain_create(int error, const std::string& what) {
  switch (error) {
    case EPERM:
      return {ExitCode::not_permitted, what, words(error), "run as root or with CAP_NET_RAW"};
    case EAFNOSUPPORT:
      return {ExitCode::machine_cannot, what, "this kernel was built without AF_XDP",
              "use a kernel with CONFIG_XDP_SOCKETS=y"};
    default:
      return {ExitCode::machine_cannot, what, words(error)};
  }
}

SetupError explain_umem(int error, const std::string& what, const SetupContext& context) {
  // ENOBUFS is what the kernel says when locked memory is used up (xdp_umem_account_pages in net/xdp/xdp_umem.c).
  if (error == ENOBUFS)
    return {ExitCode::not_permitted, what,
            "it needs " + mebibytes(context.umem_bytes) + " of locked memory and RLIMIT_MEMLOCK is " +
                mebibytes(context.memlock_limit_bytes) + " for all queues together",
            "run with CAP_IPC_LOCK, raise the limit (ulimit -l unlimited), or use fewer queues"};
  if (error == ENOMEM)
    return {ExitCode::machine_cannot, what, "not enough memory for " + mebibytes(context.umem_bytes),
            "use fewer queues"};
  return {ExitCode::machine_cannot, what, words(error)};
}

SetupError explain_bind(int error, const std::string& what, const SetupContext& context) {
  const std::string name(context.interface_name);
  switch (error) {
    case EBUSY:
      return {ExitCode::machine_cannot, what, "the queue is busy: another AF_XDP socket holds it",
              "end the program that holds it (ss --xdp -p shows it), or leave this queue out"};
    case EPERM:
      return {ExitCode::not_permitted, what, words(error), "run as root or with CAP_NET_RAW"};
    case ENODEV:
    case ENXIO:
      return {ExitCode::machine_cannot, what, "there is no such interface any more"};
    case ENETDOWN:
      return {ExitCode::machine_cannot, what, "the interface is down", "ip link set " + name + " up"};
    default:
      break;
  }
  if (context.zero_copy_forced)
    return {ExitCode::machine_cannot, what,
            std::string("zero-copy was refused: ") + std::string(zero_copy_refusal(error)),
            "use --mode auto or --mode copy"};
  // xsk_bind() in net/xdp/xsk.c and xsk_reg_pool_at_qid(): a queue number beyond the interface's queues.
  if (error == EINVAL)
    return {ExitCode::machine_cannot, what, "the kernel refused it: " + words(error),
            "ethtool -l " + name + " shows how many queues there are"};
  return {ExitCode::machine_cannot, what, words(error)};
}

}  // namespace

std::string_view zero_copy_refusal(int error) noexcept {
  switch (error) {
    case EOPNOTSUPP:
      return "the driver has no zero-copy AF_XDP";
    case EINVAL:
      return "the driver does not take this frame size, MTU or queue";
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
      return {ExitCode::machine_cannot, what, words(error), error == ENOMEM ? "use fewer queues" : ""};
    case SetupStep::bind:
      break;
  }
  return explain_bind(error, what, context);
}

}  // namespace xsk
