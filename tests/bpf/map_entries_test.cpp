// Whole maps written and read, by batch and, of kinds that the kernel reads singly, one by one. Needs root.
#include "bpf/map_entries.h"

#include <bpf/bpf.h>

#include <cstring>
#include <map>
#include <vector>

#include "bpf/options.h"
#include "bpf/root_abi.h"
#include "tests/bpf/support.h"

namespace {

class MapEntries : public testing::Test {
 protected:
  void SetUp() override { NEEDS_ROOT(); }
  static engine::UniqueFd make(bpf_map_type type, std::uint32_t key_bytes, std::uint32_t value_bytes,
                               std::uint32_t entries, std::uint32_t flags = 0) {
    bpf::Options<bpf_map_create_opts> options;
    options.map_flags = flags;
    engine::UniqueFd map(bpf_map_create(type, "test", key_bytes, value_bytes, entries, &options));
    EXPECT_TRUE(map.valid()) << strerror(errno);
    return map;
  }
  // How often each key is seen; each entry's value is its key's double.
  static std::map<std::uint32_t, int> seen(int map_fd) {
    std::map<std::uint32_t, int> times;
    bpf::each_entry(map_fd, 4, 8, [&](const void* key, const void* value) {
      std::uint32_t number = 0;
      std::uint64_t twice = 0;
      std::memcpy(&number, key, sizeof number);
      std::memcpy(&twice, value, sizeof twice);
      EXPECT_EQ(twice, 2 * number);
      ++times[number];
    });
    return times;
  }
  static void expect_each_once(bpf_map_type type, std::uint32_t count, std::uint32_t room) {
    const engine::UniqueFd map = make(type, 4, 8, room);
    for (std::uint32_t key = 0; key < count; ++key) {
      const std::uint64_t twice = 2 * key;
      ASSERT_EQ(bpf_map_update_elem(map.get(), &key, &twice, BPF_ANY), 0);
    }
    const auto times = seen(map.get());
    EXPECT_EQ(times.size(), count);
    for (const auto& [key, n] : times) ASSERT_EQ(n, 1) << "entry " << key;
  }
};

TEST_F(MapEntries, AreSeenOnceEach) {
  for (const std::uint32_t count : {1U, 2U, 4095U, 4096U, 4097U, 50'000U}) {
    expect_each_once(BPF_MAP_TYPE_HASH, count, count);
    expect_each_once(BPF_MAP_TYPE_ARRAY, count, count);
  }
  expect_each_once(BPF_MAP_TYPE_HASH, 5, 50'000);
  expect_each_once(BPF_MAP_TYPE_LRU_HASH, 3000, 50'000);
}

TEST_F(MapEntries, OfAnEmptyMapAreNone) {
  expect_each_once(BPF_MAP_TYPE_HASH, 0, 1);
  expect_each_once(BPF_MAP_TYPE_HASH, 0, 50'000);
}

TEST_F(MapEntries, OfATrieAreSeenOnceEach) {
  const engine::UniqueFd map = make(BPF_MAP_TYPE_LPM_TRIE, sizeof(root_block_network), 1, 20'000, BPF_F_NO_PREALLOC);
  std::vector<root_block_network> networks(10'000);
  for (std::uint32_t i = 0; i < networks.size(); ++i) {
    networks[i] = {};
    networks[i].prefix_bits = ROOT_FAMILY_BITS + 32;
    networks[i].family = 4;
    std::memcpy(networks[i].bytes, &i, sizeof i);
  }
  bpf::put_entries<root_block_network>(map.get(), networks, std::uint8_t{1}, "fill");
  std::map<std::uint32_t, int> times;
  bpf::each_entry(map.get(), sizeof(root_block_network), 1, [&](const void* key, const void*) {
    root_block_network network;
    std::memcpy(&network, key, sizeof network);
    std::uint32_t number = 0;
    std::memcpy(&number, network.bytes, sizeof number);
    ++times[number];
  });
  EXPECT_EQ(times.size(), networks.size());
  for (const auto& [number, n] : times) ASSERT_EQ(n, 1) << "network " << number;
}

// The kernel has no batches for a map of devices (kernel/bpf/devmap.c: dev_map_ops).
TEST_F(MapEntries, OfAKindWithoutBatchesAreSeenAllTheSame) {
  const engine::UniqueFd map = make(BPF_MAP_TYPE_DEVMAP, 4, 4, 8);
  const std::uint32_t loopback = 1;
  for (const std::uint32_t key : {2U, 5U}) ASSERT_EQ(bpf_map_update_elem(map.get(), &key, &loopback, BPF_ANY), 0);
  std::map<std::uint32_t, std::uint32_t> devices;
  bpf::each_entry(map.get(), 4, 4, [&](const void* key, const void* value) {
    std::uint32_t number = 0;
    std::memcpy(&number, key, sizeof number);
    std::memcpy(&devices[number], value, sizeof(std::uint32_t));
  });
  EXPECT_EQ(devices, (std::map<std::uint32_t, std::uint32_t>{{2, 1}, {5, 1}}));
}

TEST_F(MapEntries, AreCopiedWithTheirValues) {
  const engine::UniqueFd from = make(BPF_MAP_TYPE_HASH, 4, 8, 10'000), to = make(BPF_MAP_TYPE_HASH, 4, 8, 20'000);
  for (std::uint32_t key = 0; key < 10'000; ++key) {
    const std::uint64_t twice = 2 * key;
    ASSERT_EQ(bpf_map_update_elem(from.get(), &key, &twice, BPF_ANY), 0);
  }
  bpf::copy_entries(from.get(), to.get(), 4, 8, "copy");
  EXPECT_EQ(seen(to.get()).size(), 10'000U);
}

TEST_F(MapEntries, SaysWhenAMapCannotBeRead) {
  EXPECT_NE(bpf_test::error_of([] { bpf::each_entry(-1, 4, 8, [](const void*, const void*) {}); }), "");
}

}  // namespace
