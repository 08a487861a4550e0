#include "engine/cli/netlink.h"

#include <cerrno>
#include <cstring>

#include "engine/base/error.h"

namespace engine::cli {
namespace {

constexpr int kDumpAttempts = 5;

int call_each(const nlmsghdr* header, void* each) {
  (*static_cast<const std::function<void(const nlmsghdr*)>*>(each))(header);
  return MNL_CB_OK;
}

}  // namespace

Netlink::Netlink(int bus) : socket_(mnl_socket_open2(bus, SOCK_CLOEXEC)), buffer_(64 * 1024) {
  if (socket_ == nullptr || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    throw SetupError(ExitCode::machine_cannot, "open a netlink socket", std::strerror(errno));
  }
}

int Netlink::ask(std::uint16_t type, std::uint16_t flags, const std::function<void(nlmsghdr*)>& fill,
                 const std::function<void(const nlmsghdr*)>& each) {
  nlmsghdr* const request = mnl_nlmsg_put_header(buffer_.data());
  request->nlmsg_type = type;
  // A request that is no dump is answered by one message without an end mark; the acknowledgement is the end mark.
  const bool dump = (flags & NLM_F_DUMP) == NLM_F_DUMP;
  request->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags | (dump ? 0 : NLM_F_ACK));
  request->nlmsg_seq = ++sequence_;
  fill(request);
  if (mnl_socket_sendto(socket_.get(), request, request->nlmsg_len) < 0) return errno;
  const unsigned port = mnl_socket_get_portid(socket_.get());
  while (true) {
    const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno;
    auto* const callback = const_cast<std::function<void(const nlmsghdr*)>*>(&each);
    const int more = mnl_cb_run(buffer_.data(), static_cast<std::size_t>(size), sequence_, port, call_each, callback);
    // A dump that changed under us (EINTR, NLM_F_DUMP_INTR) is asked for again by dump().
    if (more < 0) return errno;
    if (more == MNL_CB_STOP) return 0;
  }
}

int Netlink::dump(std::uint16_t type, const std::function<void(nlmsghdr*)>& fill,
                  const std::function<void(const nlmsghdr*)>& each, const std::function<void()>& reset) {
  int error = EINTR;
  for (int attempt = 0; attempt < kDumpAttempts && error == EINTR; ++attempt) {
    reset();
    error = ask(type, NLM_F_DUMP, fill, each);
  }
  return error;
}

}  // namespace engine::cli
