// One question to the kernel's "netdev" family (Documentation/netlink/specs/netdev.yaml). Its numbers are written out:
// linux/netdev.h came with Linux 6.3 (commit d3d854fd6a1d), after the headers of Debian 12.
#include "engine/gen/redirect_target.h"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include <array>
#include <cstdint>
#include <memory>

namespace engine::gen {
namespace {

constexpr std::uint8_t netdev_cmd_dev_get = 1;
constexpr std::uint16_t netdev_a_dev_ifindex = 1, netdev_a_dev_xdp_features = 3;
constexpr std::uint64_t netdev_xdp_act_ndo_xmit = 4;

struct Closer {
  void operator()(mnl_socket* socket) const noexcept { mnl_socket_close(socket); }
};

using Buffer = std::array<char, 8192>;

nlmsghdr* begin(Buffer& buffer, std::uint16_t type, std::uint8_t command) {
  nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
  message->nlmsg_type = type;
  message->nlmsg_flags = NLM_F_REQUEST;
  auto* generic = static_cast<genlmsghdr*>(mnl_nlmsg_put_extra_header(message, sizeof(genlmsghdr)));
  generic->cmd = command;
  generic->version = 1;
  return message;
}

// Sends the request and leaves the answer in `buffer`. False if the kernel has none.
bool ask(mnl_socket* socket, const nlmsghdr* request, Buffer& buffer) {
  if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0) return false;
  const ssize_t length = mnl_socket_recvfrom(socket, buffer.data(), buffer.size());
  const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer.data());
  return length > 0 && mnl_nlmsg_ok(answer, static_cast<int>(length)) && answer->nlmsg_type != NLMSG_ERROR;
}

const nlattr* attribute(const Buffer& buffer, std::uint16_t type) {
  const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer.data());
  const char* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(answer));
  const auto* each = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(answer, sizeof(genlmsghdr)));
  while (mnl_attr_ok(each, static_cast<int>(end - reinterpret_cast<const char*>(each)))) {
    if (mnl_attr_get_type(each) == type) return each;
    each = mnl_attr_next(each);
  }
  return nullptr;
}

}  // namespace

std::optional<bool> is_redirect_target(unsigned ifindex) {
  const std::unique_ptr<mnl_socket, Closer> socket(mnl_socket_open(NETLINK_GENERIC));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return std::nullopt;
  alignas(nlmsghdr) Buffer buffer{};
  nlmsghdr* request = begin(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
  mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, "netdev");
  if (!ask(socket.get(), request, buffer)) return std::nullopt;
  const nlattr* family = attribute(buffer, CTRL_ATTR_FAMILY_ID);
  if (family == nullptr) return std::nullopt;
  request = begin(buffer, mnl_attr_get_u16(family), netdev_cmd_dev_get);
  mnl_attr_put_u32(request, netdev_a_dev_ifindex, ifindex);
  if (!ask(socket.get(), request, buffer)) return std::nullopt;
  const nlattr* features = attribute(buffer, netdev_a_dev_xdp_features);
  if (features == nullptr) return std::nullopt;
  return (mnl_attr_get_u64(features) & netdev_xdp_act_ndo_xmit) != 0;
}

}  // namespace engine::gen
