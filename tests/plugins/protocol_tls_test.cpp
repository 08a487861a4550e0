// TLS ClientHellos, well-formed and hostile. Each frame ends at an unreadable page.
#include <gtest/gtest.h>

#include "tests/plugins/protocol_lab.h"

namespace test {
namespace {

const engine_protocol_natives& natives() { return plugins::protocol_natives(); }

struct Tls {
  explicit Tls(const Bytes& record) : from(tcp4(40000, 443, record)) {
    std::memset(static_cast<void*>(&hello), 0xaa, sizeof hello);
    is_one = natives().tls(&hello, &from.cell, &from.packet);
  }
  std::string sni() const { return from.text(hello._off + hello._sni, hello._sni_len); }

  GuardedFrame from;
  engine_tls hello;
  bool is_one;
};

Bytes modern_extensions() {
  return tls_extension(0x2a2a, {}) + tls_sni("www.example.org") +
         tls_extension(16, be16(12) + Bytes{2, 'h', '2', 8} + bytes("http/1.1")) +
         tls_extension(43, Bytes{6} + be16(0xfafa) + be16(0x0304) + be16(0x0303));
}

TEST(Tls, ReadsAHelloOfToday) {
  Tls tls(tls_record(tls_hello_body(modern_extensions())));
  ASSERT_TRUE(tls.is_one);
  EXPECT_EQ(tls.sni(), "www.example.org");
  EXPECT_EQ(tls.hello._legacy_version, 0x0303);
  EXPECT_EQ(tls.hello._version, 0x0304);
  EXPECT_EQ(tls.hello._versions_len, 6u);
  EXPECT_EQ(tls.from.text(tls.hello._off + tls.hello._alpn, tls.hello._alpn_len), "\x02h2\x08http/1.1");
  EXPECT_EQ(tls.hello._ciphers_len, 6u);
  EXPECT_EQ(tls.hello._session_id_len, 32);
  EXPECT_FALSE(tls.hello._truncated);
  EXPECT_FALSE(tls.hello._has_ech);
}

TEST(Tls, ReadsAHelloWithoutExtensions) {
  Tls tls(tls_record(tls_hello_body({}, 0x0301, 0)));
  ASSERT_TRUE(tls.is_one);
  EXPECT_EQ(tls.hello._version, 0x0301);
  EXPECT_EQ(tls.hello._sni_len, 0u);
  EXPECT_FALSE(tls.hello._truncated);
}

TEST(Tls, ReadsAsFarAsTheSegmentGoes) {
  const Bytes record = tls_record(tls_hello_body(modern_extensions() + tls_extension(0xfe0d, filled(20))));
  std::size_t with_sni = 0, hellos = 0;
  for (std::size_t size = 0; size <= record.size(); ++size) {
    Tls tls(cut(record, size));
    ASSERT_EQ(tls.is_one, size >= 44) << size;
    if (!tls.is_one) continue;
    ++hellos;
    EXPECT_EQ(tls.hello._truncated, size < record.size());
    EXPECT_EQ(tls.hello._has_ech, size == record.size());
    if (tls.hello._sni_len == 0) continue;
    EXPECT_EQ(tls.sni(), "www.example.org") << "whole or not at all";
    ++with_sni;
  }
  EXPECT_EQ(hellos, record.size() - 43);
  EXPECT_EQ(with_sni, 18u + 11 + 24 + 1) << "what lies behind the name's extension";
}

TEST(Tls, ReadsTheFirstRecordOfAHelloInSeveral) {
  Bytes record = tls_record(tls_hello_body(modern_extensions()));
  record[3] = 0;
  record[4] = 100;  // the message goes on in the next record
  Tls tls(record);
  ASSERT_TRUE(tls.is_one);
  EXPECT_TRUE(tls.hello._truncated);
  EXPECT_EQ(tls.hello._len, 105u);
}

TEST(Tls, TakesNoNameThatIsNone) {
  for (const std::string_view name :
       {std::string_view("a b"), std::string_view("a\0b", 3), std::string_view("\xff"), std::string_view("")}) {
    Tls tls(tls_record(tls_hello_body(tls_sni(name))));
    ASSERT_TRUE(tls.is_one);
    EXPECT_EQ(tls.hello._sni_len, 0u);
  }
  const Bytes lies[] = {{}, {0}, be16(99), be16(3) + Bytes{0} + be16(99), be16(9) + Bytes{1} + be16(1) + Bytes{'a'}};
  for (const Bytes& data : lies) EXPECT_EQ(Tls(tls_record(tls_hello_body(tls_extension(0, data)))).hello._sni_len, 0u);
}

TEST(Tls, DoesNotBelieveLengths) {
  Tls beyond(tls_record(tls_hello_body(tls_extension(43, Bytes{200} + be16(0x0304)))));
  ASSERT_TRUE(beyond.is_one);
  EXPECT_EQ(beyond.hello._version, 0x0303);
  EXPECT_EQ(beyond.hello._versions_len, 0u);
  Tls odd(tls_record(tls_hello_body(tls_extension(43, Bytes{3} + be16(0x0304) + Bytes{3}))));
  EXPECT_EQ(odd.hello._version, 0x0304);
  EXPECT_EQ(odd.hello._versions_len, 2u);
  Bytes body = tls_hello_body(modern_extensions());
  body[67] = 0xff;  // the cipher suites' length
  Tls ciphers(tls_record(body));
  ASSERT_TRUE(ciphers.is_one);
  EXPECT_EQ(ciphers.hello._ciphers_len, 0u);
  EXPECT_EQ(ciphers.hello._sni_len, 0u);
}

TEST(Tls, IsNoneForOtherRecords) {
  const Bytes good = tls_record(tls_hello_body(modern_extensions()));
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes changed = good;
    changed[at] = value;
    return Tls(changed).is_one;
  };
  EXPECT_TRUE(with(2, 3));
  EXPECT_FALSE(with(0, 23)) << "application data";
  EXPECT_FALSE(with(1, 2)) << "record version";
  EXPECT_FALSE(with(2, 5));
  EXPECT_FALSE(with(3, 0x50)) << "a record of more than 2^14 + 2048 bytes";
  EXPECT_FALSE(with(5, 2)) << "ServerHello";
  EXPECT_FALSE(with(9, 2)) << "version";
  EXPECT_FALSE(with(43, 33)) << "a session id of more than 32 bytes";
}

}  // namespace
}  // namespace test
