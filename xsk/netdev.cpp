#include "xsk/netdev.h"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <memory>

namespace xsk {
namespace {

// include/uapi/linux/netdev.h (kernel 6.3, commit d3d854fd6a1d "netdev-genl: create a simple family for netdev stuff";
// what came later is told by its absence).
constexpr const char* kFamily = "netdev";
constexpr std::uint8_t kFamilyVersion = 1;
constexpr std::uint8_t kDevGet = 1;
constexpr std::uint16_t kIfindex = 1;
constexpr std::uint16_t kXdpFeatures = 3;
constexpr std::uint16_t kZcMaxSegs = 4;
constexpr std::uint16_t kRxMetadataFeatures = 5;

struct CloseSocket {
  void operator()(mnl_socket* socket) const noexcept { mnl_socket_close(socket); }
};
using Netlink = std::unique_ptr<mnl_socket, CloseSocket>;
using Buffer = std::array<char, 8192>;

nlmsghdr* put_request(Buffer& buffer, std::uint16_t family, std::uint8_t command, std::uint8_t version) {
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = family;
  request->nlmsg_flags = NLM_F_REQUEST;
  auto* header = static_cast<genlmsghdr*>(mnl_nlmsg_put_extra_header(request, sizeof(genlmsghdr)));
  header->cmd = command;
  header->version = version;
  return request;
}

// The answer, in `buffer`; null for a refusal.
const nlmsghdr* ask(mnl_socket* netlink, const nlmsghdr* request, Buffer& buffer) {
  if (mnl_socket_sendto(netlink, request, request->nlmsg_len) < 0) return nullptr;
  const ssize_t received = mnl_socket_recvfrom(netlink, buffer.data(), buffer.size());
  const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer.data());
  if (received <= 0 || !mnl_nlmsg_ok(answer, static_cast<int>(received))) return nullptr;
  return answer->nlmsg_type == NLMSG_ERROR ? nullptr : answer;
}

void each_attribute(const nlmsghdr* answer, const std::function<void(const nlattr*)>& see) {
  mnl_attr_parse(
      answer, sizeof(genlmsghdr),
      [](const nlattr* attribute, void* data) {
        (*static_cast<const std::function<void(const nlattr*)>*>(data))(attribute);
        return MNL_CB_OK;
      },
      const_cast<std::function<void(const nlattr*)>*>(&see));
}

// Numbers need not be aligned, and may be longer or shorter than was expected.
template <class Number>
Number number(const nlattr* attribute) {
  Number value = 0;
  std::memcpy(&value, mnl_attr_get_payload(attribute),
              std::min<std::size_t>(mnl_attr_get_payload_len(attribute), sizeof value));
  return value;
}

std::uint16_t family_id(mnl_socket* netlink, Buffer& buffer) {
  nlmsghdr* request = put_request(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
  mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, kFamily);
  std::uint16_t id = 0;
  if (const nlmsghdr* answer = ask(netlink, request, buffer))
    each_attribute(answer, [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID) id = number<std::uint16_t>(attribute);
    });
  return id;
}

}  // namespace

NetdevFeatures parse_netdev_features(const nlmsghdr* answer) {
  NetdevFeatures features;
  each_attribute(answer, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case kXdpFeatures:
        features.xdp = number<std::uint64_t>(attribute);
        break;
      case kZcMaxSegs:
        features.zc_max_segs = number<std::uint32_t>(attribute);
        break;
      case kRxMetadataFeatures:
        features.rx_metadata = number<std::uint64_t>(attribute);
        break;
      default:
        break;
    }
  });
  return features;
}

NetdevFeatures read_netdev_features(unsigned ifindex) {
  const Netlink netlink(mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC));
  if (!netlink || mnl_socket_bind(netlink.get(), 0, MNL_SOCKET_AUTOPID) != 0) return {};
  Buffer buffer;
  const std::uint16_t family = family_id(netlink.get(), buffer);
  if (family == 0) return {};
  nlmsghdr* request = put_request(buffer, family, kDevGet, kFamilyVersion);
  mnl_attr_put_u32(request, kIfindex, ifindex);
  const nlmsghdr* answer = ask(netlink.get(), request, buffer);
  return answer == nullptr ? NetdevFeatures{} : parse_netdev_features(answer);
}

}  // namespace xsk
