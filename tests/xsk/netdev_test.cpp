// What the kernel says of a device's XDP.
#include "xsk/netdev.h"

#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include <array>

#include "tests/xsk/lab.h"

namespace xsk::test {
namespace {

// An answer as a kernel of 6.8 gives it; attributes by their numbers in include/uapi/linux/netdev.h.
struct Answer {
  Answer() : header(mnl_nlmsg_put_header(buffer.data())) { mnl_nlmsg_put_extra_header(header, sizeof(genlmsghdr)); }

  alignas(nlmsghdr) std::array<char, 512> buffer{};
  nlmsghdr* header;
};

TEST(Netdev, ReadsTheKernelsAnswer) {
  Answer answer;
  mnl_attr_put_u32(answer.header, 1, 7);
  mnl_attr_put_u64(answer.header, 3, 0x2b);
  mnl_attr_put_u32(answer.header, 4, 8);
  mnl_attr_put_u64(answer.header, 5, 3);
  mnl_attr_put_u64(answer.header, 6, 1);
  const NetdevFeatures features = parse_netdev_features(answer.header);
  EXPECT_EQ(features.xdp, 0x2bU);
  EXPECT_EQ(features.zc_max_segs, 8U);
  EXPECT_EQ(features.rx_metadata, NetdevFeatures::rx_timestamp | NetdevFeatures::rx_hash);
  EXPECT_TRUE(features.can(NetdevFeatures::zerocopy) && features.can(NetdevFeatures::rx_frags));
}

TEST(Netdev, KnowsNothingOfWhatAnOlderKernelDoesNotSay) {
  Answer answer;
  mnl_attr_put_u64(answer.header, 3, 1);
  const NetdevFeatures features = parse_netdev_features(answer.header);
  EXPECT_FALSE(features.zc_max_segs || features.rx_metadata);
  EXPECT_FALSE(features.can(NetdevFeatures::zerocopy));
  const NetdevFeatures nothing = read_netdev_features(0x7ffffff0);
  EXPECT_FALSE(nothing.xdp || nothing.zc_max_segs || nothing.rx_metadata);
  EXPECT_TRUE(nothing.can(NetdevFeatures::zerocopy)) << "nobody said that it cannot";
}

class NetdevInLab : public Lab {};

TEST_F(NetdevInLab, HearsOfVethWhatItsDriverHas) {
  const NetdevFeatures features = read_netdev_features(read_link(near()).ifindex);
  if (!features.xdp) GTEST_SKIP() << "this kernel has no netdev family (Linux 6.3)";
  EXPECT_TRUE(features.can(NetdevFeatures::basic));
  EXPECT_FALSE(features.can(NetdevFeatures::zerocopy));
  EXPECT_TRUE(!features.rx_metadata || (*features.rx_metadata & NetdevFeatures::rx_hash) != 0);
}

}  // namespace
}  // namespace xsk::test
