// Longest-prefix matching against a plain model, and the lists that come with plugins.
#include <gtest/gtest.h>

#include <arpa/inet.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "plugins/item_file.h"
#include "plugins/net_table.h"
#include "tests/plugins/lab.h"

using plugins::NetTable;

namespace {

using Bytes = std::array<std::uint8_t, 16>;

engine_addr address_of(const Bytes& bytes) {
  engine_addr address;
  std::memcpy(static_cast<void*>(&address), bytes.data(), 16);
  return address;
}

engine_addr parse(const char* text) {
  Bytes bytes{};
  if (inet_pton(AF_INET6, text, bytes.data()) == 1) return address_of(bytes);
  bytes[10] = bytes[11] = 0xff;
  EXPECT_EQ(inet_pton(AF_INET, text, bytes.data() + 12), 1) << text;
  return address_of(bytes);
}

struct Net {
  Bytes bytes;
  std::uint32_t length;
  std::uint32_t tag;
  bool contains(const Bytes& address) const {
    for (std::uint32_t bit = 0; bit < length; ++bit) {
      if (((bytes[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8) & 1) != 0) return false;
    }
    return true;
  }
};

std::uint32_t longest(const std::vector<Net>& nets, const Bytes& address) {
  const Net* best = nullptr;
  for (const Net& net : nets) {
    if (net.contains(address) && (best == nullptr || net.length > best->length)) best = &net;
  }
  return best == nullptr ? 0 : best->tag << 8 | (best->length + 1);
}

TEST(Nets, MatchTheLongestLikeAPlainModel) {
  std::mt19937 random(8);
  for (int round = 0; round < 40; ++round) {
    const bool v4 = round % 2 == 0;
    // Few distinct bits, so that networks lie in each other.
    const auto any = [&] {
      Bytes bytes{};
      for (std::uint32_t i = v4 ? 12 : 0; i < 16; ++i) bytes[i] = random() % 3 == 0 ? random() & 0xff : random() % 2;
      if (v4) bytes[10] = bytes[11] = 0xff;
      return bytes;
    };
    NetTable table;
    table.reserve(200);
    std::vector<Net> nets;
    for (std::uint32_t i = 0; i < 200; ++i) {
      Net net{any(), static_cast<std::uint32_t>(v4 ? 96 + random() % 33 : random() % 129), i};
      bool known = false;
      for (const Net& other : nets) known |= other.length == net.length && other.contains(net.bytes);
      ASSERT_EQ(table.add(address_of(net.bytes), net.length, i),
                known ? NetTable::Added::known : NetTable::Added::fresh);
      if (!known) nets.push_back(net);
      for (int probe = 0; probe < 30; ++probe) {
        Bytes address = random() % 2 == 0 ? any() : nets[random() % nets.size()].bytes;
        if (random() % 2 == 0) address[15] ^= 1 << random() % 8;
        ASSERT_EQ(table.match(address_of(address)), longest(nets, address)) << round << " " << i;
      }
    }
    EXPECT_EQ(table.size(), nets.size());
  }
}

TEST(Nets, KeepIPv4AndIPv6ApartAsTheirAddressesAre) {
  NetTable table;
  table.reserve(10);
  const auto match = [&](const char* text) { return table.match(parse(text)); };
  table.add(parse("::"), 0, 1);
  EXPECT_EQ(match("10.1.2.3"), 1u << 8 | 1) << "IPv4 lies in ::/0";
  EXPECT_EQ(match("2001:db8::1"), 1u << 8 | 1);
  table.add(parse("0.0.0.0"), 96, 2);
  EXPECT_EQ(match("10.1.2.3"), 2u << 8 | 97);
  EXPECT_EQ(match("2001:db8::1"), 1u << 8 | 1);
  table.add(parse("::"), 8, 3);
  EXPECT_EQ(match("10.1.2.3"), 2u << 8 | 97) << "the longer one";
  EXPECT_EQ(match("::1"), 3u << 8 | 9);
  table.add(parse("10.1.2.3"), 128, 4);
  EXPECT_EQ(match("10.1.2.3"), 4u << 8 | 129);
  EXPECT_EQ(match("10.1.2.4"), 2u << 8 | 97);
}

TEST(Nets, HoldNoMoreThanTheyHaveRoomFor) {
  NetTable table;
  plugins::MapPart part("nets");
  table.attach(part);
  EXPECT_EQ(table.match(parse("10.0.0.1")), 0u);
  EXPECT_EQ(table.add(parse("10.0.0.0"), 104, 0), NetTable::Added::refused);
  table.reserve(1000);
  for (unsigned i = 0; i < 1000; ++i) {
    const std::string net = "2001:db8:" + std::to_string(i) + "::";
    EXPECT_EQ(table.add(parse(net.c_str()), 48 + i % 80, i), NetTable::Added::fresh);
    if (i == 500) table.reserve(499);
  }
  EXPECT_EQ(table.add(parse("10.0.0.0"), 104, 0), NetTable::Added::refused);
  EXPECT_EQ(table.add(parse("2001:db8:7::"), 55, 0), NetTable::Added::known) << "known ones need no room";
  for (unsigned i = 0; i < 1000; ++i) {
    EXPECT_EQ(table.match(parse(("2001:db8:" + std::to_string(i) + "::").c_str())), i << 8 | (48 + i % 80 + 1));
  }
  EXPECT_EQ(part.refused, 2u);
}

TEST(ItemFile, SkipsCommentsAndNamesItsLines) {
  const lab::Folder folder;
  const std::string path = folder.write("list", "# head\n10.0.0.1\n\n  example.org  a mail host # why\r\n\t53\nlast");
  const auto items = plugins::read_items(path, 100, true);
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0].text, "10.0.0.1");
  EXPECT_EQ(items[0].line, 2u);
  EXPECT_EQ(items[1].text, "example.org");
  EXPECT_EQ(items[1].value, "a mail host");
  EXPECT_EQ(items[2].text, "53");
  EXPECT_EQ(items[3].line, 6u);
  EXPECT_EQ(plugins::read_items(path, 100, false)[1].text, "example.org  a mail host");
  EXPECT_EQ(plugins::read_items(path, 2, true).size(), 2u);
  EXPECT_THROW(plugins::read_items(path + ".none", 2, true), engine::SetupError);
  EXPECT_THROW(plugins::read_items("/dev/zero", 2, true), engine::SetupError);
  EXPECT_THROW(plugins::read_items("/tmp", 2, true), engine::SetupError);
}

TEST(ItemFile, LiesBesideThePluginOrWhereTheOperatorSaid) {
  plugins::PluginSpec plugin;
  plugin.path = "/etc/engine/hosts.lua";
  EXPECT_EQ(plugins::item_file_path(plugin, "known.txt"), "/etc/engine/known.txt");
  for (const char* other : {"/etc/passwd", "../known.txt", "a/b", "..", "."}) {
    EXPECT_THROW(plugins::item_file_path(plugin, other), engine::SetupError) << other;
  }
  plugin.args.emplace_back("list", std::string("/srv/known.txt"));
  EXPECT_EQ(plugins::item_file_path(plugin, "/srv/known.txt"), "/srv/known.txt");
  EXPECT_THROW(plugins::item_file_path(plugin, "/srv/other.txt"), engine::SetupError);
  plugin.path.clear();
  EXPECT_THROW(plugins::item_file_path(plugin, "known.txt"), engine::SetupError) << "code without a file";
}

}  // namespace
