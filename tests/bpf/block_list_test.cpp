// The block list's file format, without root.
#include "bpf/block_list.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tests/bpf/support.h"

namespace {

using bpf_test::error_of;

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    engine::UniqueFd fd(mkstemp(path_.data()));
    EXPECT_TRUE(fd.valid());
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = testing::TempDir() + "block_XXXXXX";
};

TEST(BlockList, ReadsAddressesAndNetworksOfBothFamilies) {
  const TemporaryFile file("# bad neighbours\n\n192.0.2.1\n  10.0.0.0/8   # a network\r\n2001:db8::1\n2001:db8::/32\n");
  const bpf::BlockList list = bpf::read_block_file(file.path());
  ASSERT_EQ(list.addresses.size(), 2U);
  ASSERT_EQ(list.networks.size(), 2U);
  EXPECT_EQ(list.addresses[0].bytes[11], 0xff) << "IPv4 is kept as ::ffff:a.b.c.d";
  EXPECT_EQ(list.addresses[0].bytes[12], 192);
  EXPECT_EQ(list.addresses[1].bytes[0], 0x20);
  EXPECT_EQ(list.networks[0].family, 4U);
  EXPECT_EQ(list.networks[0].prefix_bits, ROOT_FAMILY_BITS + 8U);
  EXPECT_EQ(list.networks[1].family, 6U);
  EXPECT_EQ(list.networks[1].prefix_bits, ROOT_FAMILY_BITS + 32U);
}

TEST(BlockList, TakesAFullLengthPrefixAsAnAddress) {
  bpf::BlockList list;
  bpf::add_block_entry("192.0.2.1/32", "here", list);
  bpf::add_block_entry("2001:db8::1/128", "here", list);
  EXPECT_EQ(list.addresses.size(), 2U);
  EXPECT_TRUE(list.networks.empty());
}

TEST(BlockList, AcceptsTheNetworkOfEverything) {
  bpf::BlockList list;
  bpf::add_block_entry("0.0.0.0/0", "here", list);
  bpf::add_block_entry("::/0", "here", list);
  EXPECT_EQ(list.networks.size(), 2U);
}

TEST(BlockList, NamesFileAndLineOfABadEntry) {
  const TemporaryFile file("192.0.2.1\n# fine\n10.0.0.1/8\n");
  const std::string error = error_of([&] { bpf::read_block_file(file.path()); });
  EXPECT_NE(error.find("2: " + file.path() + ":3: \"10.0.0.1/8\" has bits set behind its prefix"), std::string::npos)
      << error;
}

TEST(BlockList, RefusesWhatIsNotAnAddressOrAPrefix) {
  for (const char* entry : {"example.org", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x",
                            "2001:db8::/129", "/8", "10.0.0.1 10.0.0.2", "10.0.0.0/+8", "300.1.1.1"}) {
    bpf::BlockList list;
    EXPECT_NE(error_of([&] { bpf::add_block_entry(entry, "here", list); }).find("2: here: "), std::string::npos)
        << entry;
    EXPECT_TRUE(list.empty()) << entry;
  }
}

TEST(BlockList, SaysThatAFileIsMissing) {
  EXPECT_EQ(error_of([] { bpf::read_block_file("/nonexistent/list"); }),
            "2: block list /nonexistent/list: No such file or directory");
}

TEST(BlockList, SaysThatADirectoryIsNoFile) {
  EXPECT_NE(error_of([] { bpf::read_block_file(testing::TempDir()); }).find("Is a directory"), std::string::npos);
}

}  // namespace
