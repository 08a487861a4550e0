// DNS messages, well-formed and hostile. Each frame ends at an unreadable page.
#include <gtest/gtest.h>

#include "tests/plugins/protocol_lab.h"

namespace test {
namespace {

const engine_protocol_natives& natives() { return plugins::protocol_natives(); }

struct Dns {
  explicit Dns(const Bytes& frame, bool any_port = false) : from(frame) {
    std::memset(static_cast<void*>(&message), 0xaa, sizeof message);
    is_one = natives().dns(&message, &from.cell, &from.packet, any_port);
  }
  std::string name(std::uint32_t at, bool lower = true) const {
    char text[ENGINE_DNS_NAME_BYTES];
    std::memset(text, '#', sizeof text);
    const std::uint8_t* data = from.cell.frames + message._off;
    return {text, natives().dns_name(data, message._len, at, lower, text)};
  }
  std::string qname() const { return name(message._qname); }
  bool answer(double i) { return natives().dns_answer(&message, &from.cell, i, &record); }

  GuardedFrame from;
  engine_dns message;
  engine_dns_answer record;
  bool is_one;
};

std::string name_of(const Bytes& wire, std::uint32_t at = 12) {
  GuardedPages pages(4096);
  char text[ENGINE_DNS_NAME_BYTES];
  return {text, natives().dns_name(pages.place(wire), static_cast<std::uint32_t>(wire.size()), at, false, text)};
}
std::string name_of_labels(const Bytes& labels) { return name_of(filled(12, 0) + labels); }

TEST(Dns, ReadsAQuery) {
  Dns dns(udp4(40000, 53, dns_query("www.Example.com", 28)));
  ASSERT_TRUE(dns.is_one);
  EXPECT_EQ(dns.message._id, 0x1234);
  EXPECT_EQ(dns.message._flags, 0x0100);
  EXPECT_EQ(dns.message._question_count, 1);
  EXPECT_EQ(dns.message._qtype, 28);
  EXPECT_EQ(dns.message._qclass, 1);
  EXPECT_FALSE(dns.message._truncated);
  EXPECT_EQ(dns.qname(), "www.example.com");
  EXPECT_EQ(dns.name(dns.message._qname, false), "www.Example.com");
  EXPECT_EQ(dns.message._generation, 77);
  EXPECT_EQ(dns.message._packet, 3u);
  EXPECT_FALSE(dns.answer(1));
}

TEST(Dns, ReadsAnswersInAnyOrder) {
  const Bytes message =
      dns_header(0x8183, 1, 6) + dns_labels("a.test") + be16(255) + be16(1) +
      dns_record(kToQuestion, 5, 60, dns_labels("b.test")) + dns_record(kToQuestion, 1, 61, Bytes{192, 0, 2, 7}) +
      dns_record(kToQuestion, 28, 62, ip6_address(9)) + dns_record(kToQuestion, 15, 63, be16(10) + kToQuestion) +
      dns_record(dns_labels("_sip._udp.test"), 33, 64, be16(5) + be16(6) + be16(7) + kToQuestion) +
      dns_record(Bytes{0}, 16, 65, Bytes{3, 'a', 'b', 'c'});
  Dns dns(udp4(53, 40000, message));
  ASSERT_TRUE(dns.is_one);
  EXPECT_EQ(dns.message._flags & 15, 3);
  ASSERT_TRUE(dns.answer(6));
  EXPECT_EQ(dns.record._type, 16);
  EXPECT_EQ(dns.name(dns.record._name), ".");
  EXPECT_EQ(dns.from.text(dns.record._off + dns.record._data, dns.record._data_len),
            "\x03"
            "abc");
  ASSERT_TRUE(dns.answer(1));
  EXPECT_EQ(dns.name(dns.record._name), "a.test");
  EXPECT_EQ(dns.name(dns.record._target), "b.test");
  EXPECT_EQ(dns.record._ttl, 60u);
  EXPECT_FALSE(dns.record._has_address);
  ASSERT_TRUE(dns.answer(2));
  EXPECT_TRUE(dns.record._has_address);
  EXPECT_EQ(text_of(dns.record._address), "192.0.2.7");
  EXPECT_EQ(dns.record._target, 0u);
  ASSERT_TRUE(dns.answer(2)) << "the same one again";
  EXPECT_EQ(dns.record._ttl, 61u);
  ASSERT_TRUE(dns.answer(3));
  EXPECT_EQ(text_of(dns.record._address), "2001:db8::9");
  ASSERT_TRUE(dns.answer(4));
  EXPECT_EQ(dns.record._priority, 10);
  EXPECT_EQ(dns.name(dns.record._target), "a.test");
  ASSERT_TRUE(dns.answer(5));
  EXPECT_EQ(dns.name(dns.record._name), "_sip._udp.test");
  EXPECT_EQ(dns.record._priority, 5);
  EXPECT_EQ(dns.name(dns.record._target), "a.test");
  for (const double no_place : {0.0, -1.0, 7.0, 65536.0, 0.0 / 0.0, 1e300}) EXPECT_FALSE(dns.answer(no_place));
}

TEST(Dns, TakesAddressesOfTheRightLengthOnly) {
  Dns dns(udp4(53, 1,
               dns_header(0x8180, 0, 3) + dns_record({0}, 1, 1, filled(5)) + dns_record({0}, 28, 1, filled(4)) +
                   dns_record({0}, 5, 1, {})));
  ASSERT_TRUE(dns.is_one);
  EXPECT_EQ(dns.message._qname, 0u);
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(dns.answer(i));
    EXPECT_FALSE(dns.record._has_address);
    EXPECT_EQ(dns.record._target, 0u);
  }
}

TEST(Dns, EscapesWhatTextCannotSay) {
  EXPECT_EQ(name_of_labels({0}), ".");
  EXPECT_EQ(name_of_labels({3, 'a', '.', 'b', 1, '\\', 0}), "a\\.b.\\\\");
  EXPECT_EQ(name_of_labels({4, 0, ' ', 0x7f, 0xff, 0}), "\\000\\032\\127\\255");
  EXPECT_EQ(name_of_labels({5, '!', '~', '"', '(', ';', 0}), "!~\"(;");
}

TEST(Dns, HoldsTheLongestNameAndNoLongerOne) {
  const Bytes label63 = Bytes{63} + filled(63, 0), label61 = Bytes{61} + filled(61, 0);
  const std::string text = name_of_labels(label63 + label63 + label63 + label61 + Bytes{0});
  EXPECT_EQ(text.size(), 250u * 4 + 3);
  EXPECT_EQ(name_of_labels(label63 + label63 + label63 + Bytes{62} + filled(62) + Bytes{0}), "");
  EXPECT_EQ(name_of_labels(Bytes{64} + filled(64) + Bytes{0}), "");
  EXPECT_EQ(name_of_labels(Bytes{0x80} + filled(128) + Bytes{0}), "");
  Bytes single;
  for (int i = 0; i < 127; ++i) single = single + Bytes{1, 'x'};
  EXPECT_EQ(name_of_labels(single + Bytes{0}).size(), 127u + 126);
  EXPECT_EQ(name_of_labels(single + Bytes{1, 'x', 0}), "");
}

TEST(Dns, FollowsPointersBackwardsOnly) {
  const Bytes head = filled(12, 0);
  EXPECT_EQ(name_of(head + dns_labels("a.b") + Bytes{1, 'c', 0xc0, 14}, 17), "c.b");
  EXPECT_EQ(name_of(head + Bytes{0xc0, 12}), "") << "to itself";
  EXPECT_EQ(name_of(head + Bytes{1, 'a', 0xc0, 12}), "") << "to the label before it";
  EXPECT_EQ(name_of(head + Bytes{0xc0, 14, 1, 'a', 0}), "") << "forwards";
  EXPECT_EQ(name_of(head + Bytes{0xc0, 14, 0xc0, 12}, 14), "") << "two to each other";
  EXPECT_EQ(name_of(head + Bytes{0xc0, 0}), "") << "into the header";
  EXPECT_EQ(name_of(head + Bytes{0xff, 0xff}), "") << "behind the end";
  EXPECT_EQ(name_of(head + Bytes{0xc0}), "") << "half a pointer";
  EXPECT_EQ(name_of(head + Bytes{3, 'a', 'b'}), "") << "half a label";
  EXPECT_EQ(name_of(head + Bytes{1, 'a'}), "") << "no end";
  EXPECT_EQ(name_of(head), "");
  Bytes chain = head + Bytes{1, 'z', 0};
  std::uint32_t last = 12;
  for (int i = 0; i < 127; ++i) {
    const auto at = static_cast<std::uint32_t>(chain.size());
    chain = chain + be16(0xc000 | last);
    last = at;
  }
  EXPECT_EQ(name_of(chain, last), "z");
  EXPECT_EQ(name_of(chain + be16(0xc000 | last), last + 2), "") << "more pointers than labels";
}

TEST(Dns, LooksAtItsPortsOrAtAnyThatItIsToldTo) {
  const Bytes query = dns_query("a.test");
  for (const unsigned port : {53u, 5353u, 5355u}) {
    EXPECT_TRUE(Dns(udp4(port, 9, query)).is_one);
    EXPECT_TRUE(Dns(udp4(9, port, query)).is_one);
  }
  EXPECT_FALSE(Dns(udp4(9, 54, query)).is_one);
  EXPECT_TRUE(Dns(udp4(9, 54, query), true).is_one);
  EXPECT_FALSE(
      Dns(udp4(9, 54,
               dns_header(0x0100, 2) + dns_labels("a") + be16(1) + be16(1) + dns_labels("b") + be16(1) + be16(1)),
          true)
          .is_one);
  EXPECT_FALSE(Dns(udp4(9, 54, dns_header(0x7800, 1) + dns_labels("a") + be16(1) + be16(1)), true).is_one) << "opcode";
  EXPECT_FALSE(Dns(udp4(9, 54, dns_header(0x0140, 1) + dns_labels("a") + be16(1) + be16(1)), true).is_one) << "Z";
  EXPECT_FALSE(Dns(udp4(9, 54, dns_header(0x0100, 1) + dns_labels("a") + be16(1) + be16(9)), true).is_one) << "class";
  EXPECT_TRUE(Dns(udp4(9, 54, dns_header(0x0100, 1) + dns_labels("a") + be16(1) + be16(0x8001)), true).is_one);
}

TEST(Dns, IsNoneWhereTheHeaderOrTheQuestionIsBroken) {
  EXPECT_FALSE(Dns(udp4(53, 53, cut(dns_query("a.test"), 11))).is_one);
  EXPECT_FALSE(Dns(udp4(53, 53, cut(dns_query("a.test"), 19))).is_one) << "the name";
  EXPECT_FALSE(Dns(udp4(53, 53, cut(dns_query("a.test"), 23))).is_one) << "its class";
  EXPECT_TRUE(Dns(udp4(53, 53, dns_header(0x8001, 0))).is_one) << "a header alone is an answer to what is none";
  EXPECT_FALSE(Dns(udp4(53, 53, dns_header(0, 9999) + dns_labels("a.test") + be16(1) + be16(1))).is_one);
  EXPECT_FALSE(Dns(udp4(53, 53, {})).is_one);
  EXPECT_FALSE(Dns(ethernet(0x0800) + ipv4({}, be16(53) + be16(53))).is_one) << "half a UDP header";
  EXPECT_FALSE(Dns(ethernet(0x0800) + ipv4({.fragment = 10}, dns_query("a.test"))).is_one) << "a later fragment";
  EXPECT_FALSE(Dns(ethernet(0x0800) + ipv4({.proto = 132}, udp(53, 53, dns_query("a.test")))).is_one) << "SCTP";
}

TEST(Dns, SaysThatAMessageIsCut) {
  const Bytes message = dns_header(0x8180, 1, 2) + dns_labels("a.test") + be16(1) + be16(1) +
                        dns_record(kToQuestion, 1, 1, Bytes{1, 2, 3, 4}) +
                        dns_record(kToQuestion, 1, 1, Bytes{5, 6, 7, 8});
  Dns dns(cut(udp4(53, 9, message), 42 + message.size() - 1));
  ASSERT_TRUE(dns.is_one);
  EXPECT_TRUE(dns.message._truncated);
  EXPECT_TRUE(dns.answer(1));
  EXPECT_FALSE(dns.answer(2));
  EXPECT_FALSE(dns.answer(2));
  EXPECT_TRUE(dns.answer(1)) << "again from the first";
}

TEST(Dns, FailsFastWhereTheQuestionsBeforeTheAnswersAreCut) {
  Dns dns(cut(udp4(53, 9, dns_header(0x8180, 2, 65535) + dns_labels("a") + be16(1) + be16(1) + dns_labels("abcd")),
              42 + 12 + 7 + 3));
  ASSERT_TRUE(dns.is_one);
  for (int i = 1; i <= 65535; ++i) EXPECT_FALSE(dns.answer(i));
}

TEST(Dns, ReadsTheFirstMessageOfASegment) {
  const Bytes query = dns_query("a.test");
  Dns whole(tcp4(9, 53, be16(query.size()) + query + be16(query.size()) + query));
  ASSERT_TRUE(whole.is_one);
  EXPECT_EQ(whole.qname(), "a.test");
  EXPECT_EQ(whole.message._len, query.size());
  EXPECT_FALSE(whole.message._truncated);
  Dns begun(tcp4(9, 53, be16(query.size() + 100) + query));
  ASSERT_TRUE(begun.is_one);
  EXPECT_TRUE(begun.message._truncated);
  EXPECT_FALSE(Dns(tcp4(9, 53, query)).is_one) << "the id is no length";
  EXPECT_FALSE(Dns(tcp4(9, 53, be16(query.size()))).is_one);
  EXPECT_FALSE(Dns(tcp4(9, 53, be16(5) + query)).is_one);
}

}  // namespace
}  // namespace test
