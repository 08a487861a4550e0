#include "engine/enforce/own_addresses.h"

#include <linux/if_addr.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "engine/base/error.h"
#include "engine/cli/netlink.h"

namespace engine {
namespace {

class Reader {
 public:
  std::set<Source> read() {
    dump(RTM_GETADDR, sizeof(ifaddrmsg), "list this machine's addresses", [this](const nlmsghdr* header) {
      cli::each_attribute(header, sizeof(ifaddrmsg), [this](const nlattr* attribute) {
        // IPv4: IFA_ADDRESS is the peer's on a point-to-point link, which is as good as a gateway.
        const auto type = mnl_attr_get_type(attribute);
        if (type == IFA_LOCAL || type == IFA_ADDRESS) add(attribute);
      });
    });
    dump(RTM_GETROUTE, sizeof(rtmsg), "list routes", [this](const nlmsghdr* header) {
      cli::each_attribute(header, sizeof(rtmsg), [this](const nlattr* attribute) {
        const auto type = mnl_attr_get_type(attribute);
        if (type == RTA_GATEWAY) add(attribute);
        if (type == RTA_VIA) add_via(attribute);
        if (type == RTA_MULTIPATH) add_hops(attribute);
      });
    });
    // Kernels before 5.3 have none: their routes name every gateway.
    dump(RTM_GETNEXTHOP, sizeof(nhmsg), nullptr, [this](const nlmsghdr* header) {
      cli::each_attribute(header, sizeof(nhmsg), [this](const nlattr* attribute) {
        if (mnl_attr_get_type(attribute) == NHA_GATEWAY) add(attribute);
      });
    });
    return std::move(found_);
  }

 private:
  // Asked for twice, an address is found twice, which a set does not mind.
  template <class Each>
  void dump(std::uint16_t type, std::size_t body_bytes, const char* what, const Each& each) {
    const int error = route_.dump(
        type, [&](nlmsghdr* header) { mnl_nlmsg_put_extra_header(header, body_bytes); }, each);
    if (error != 0 && what != nullptr) throw SetupError(ExitCode::machine_cannot, what, std::strerror(error));
  }

  void add(const nlattr* attribute) {
    add(static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute)), mnl_attr_get_payload_len(attribute));
  }

  void add(const std::uint8_t* bytes, std::size_t length) {
    Source source;
    if (length == 4) {
      source.bytes[10] = source.bytes[11] = 0xff;
      std::memcpy(source.bytes.data() + 12, bytes, 4);
    } else if (length == 16) {
      std::memcpy(source.bytes.data(), bytes, 16);
    } else {
      return;
    }
    found_.insert(source);
  }

  void add_via(const nlattr* attribute) {  // a gateway of the other family (struct rtvia)
    const std::size_t length = mnl_attr_get_payload_len(attribute);
    if (length <= sizeof(rtvia)) return;
    const auto* const via = static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute));
    add(via + sizeof(rtvia), length - sizeof(rtvia));
  }

  void add_hops(const nlattr* multipath) {
    const auto* hop = static_cast<const rtnexthop*>(mnl_attr_get_payload(multipath));
    int left = mnl_attr_get_payload_len(multipath);
    while (left >= static_cast<int>(sizeof *hop) && hop->rtnh_len >= sizeof *hop && hop->rtnh_len <= left) {
      const auto* const begin = reinterpret_cast<const char*>(hop);
      const char* const end = begin + hop->rtnh_len;
      const auto* at = reinterpret_cast<const nlattr*>(begin + RTNH_LENGTH(0));
      for (; mnl_attr_ok(at, static_cast<int>(end - reinterpret_cast<const char*>(at))); at = mnl_attr_next(at)) {
        if (mnl_attr_get_type(at) == RTA_GATEWAY) add(at);
        if (mnl_attr_get_type(at) == RTA_VIA) add_via(at);
      }
      left -= static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
      hop = RTNH_NEXT(hop);
    }
  }

  cli::Netlink route_{NETLINK_ROUTE};
  std::set<Source> found_;
};

}  // namespace

std::vector<Source> own_addresses() {
  const std::set<Source> found = Reader().read();
  return {found.begin(), found.end()};
}

}  // namespace engine
