// One netlink conversation: ask, and see each answer (main thread, set-up).
//
// Owns its socket. Errors of the kernel come back as errno values, so that the caller decides which are expected.
#pragma once

#include <libmnl/libmnl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace engine::cli {

class Netlink {
 public:
  explicit Netlink(int bus);  // NETLINK_ROUTE, NETLINK_SOCK_DIAG; throws SetupError

  // A request of `type` with `flags` (NLM_F_REQUEST is added) whose body `fill` writes; `each` sees every answer until
  // the kernel is done. Returns 0 or the errno that the kernel answered with.
  int ask(std::uint16_t type, std::uint16_t flags, const std::function<void(nlmsghdr*)>& fill,
          const std::function<void(const nlmsghdr*)>& each);

  // All of a kind, into nothing that was there before: a dump during which something changed is inconsistent and
  // reported as EINTR; it is asked for again, some times, after `reset`.
  int dump(
      std::uint16_t type, const std::function<void(nlmsghdr*)>& fill, const std::function<void(const nlmsghdr*)>& each,
      const std::function<void()>& reset = [] {});

 private:
  struct Close {
    void operator()(mnl_socket* socket) const noexcept { mnl_socket_close(socket); }
  };

  std::unique_ptr<mnl_socket, Close> socket_;
  std::vector<char> buffer_;
  std::uint32_t sequence_ = 0;
};

// Calls `visit` with each attribute behind a message's body. libmnl's own macros are C: they convert from void*.
template <class Visit>
void each_attribute(const nlmsghdr* header, std::size_t body_bytes, Visit&& visit) {
  const auto* const end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
  const auto* at = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, body_bytes));
  for (; mnl_attr_ok(at, static_cast<int>(end - reinterpret_cast<const char*>(at))); at = mnl_attr_next(at)) visit(at);
}

// The same for the attributes inside one.
template <class Visit>
void each_attribute_in(const nlattr* outer, Visit&& visit) {
  const auto* const start = static_cast<const char*>(mnl_attr_get_payload(outer));
  const char* const end = start + mnl_attr_get_payload_len(outer);
  const auto* at = reinterpret_cast<const nlattr*>(start);
  for (; mnl_attr_ok(at, static_cast<int>(end - reinterpret_cast<const char*>(at))); at = mnl_attr_next(at)) visit(at);
}

}  // namespace engine::cli
