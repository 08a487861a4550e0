// Heads of HTTP messages, well-formed and hostile. Each frame ends at an unreadable page.
#include <gtest/gtest.h>

#include "tests/plugins/protocol_lab.h"

namespace test {
namespace {

const engine_protocol_natives& natives() { return plugins::protocol_natives(); }

struct Http {
  explicit Http(std::string_view payload) : Http(tcp4(40000, 80, bytes(payload))) {}
  explicit Http(const Bytes& frame) : from(frame) {
    std::memset(static_cast<void*>(&head), 0xaa, sizeof head);
    is_one = natives().http(&head, &from.cell, &from.packet);
  }
  std::string text(std::uint32_t at, std::uint32_t len) const { return from.text(head._off + at, len); }
  std::string method() const { return text(0, head._method_len); }
  std::string target() const { return text(head._target, head._target_len); }
  std::string reason() const { return text(head._reason, head._reason_len); }
  // "-": none.
  std::string field(std::string_view name) const {
    engine_span value;
    if (!natives().http_field(&head, &from.cell, name.data(), static_cast<std::uint32_t>(name.size()), &value))
      return "-";
    return from.text(value.off, value.len);
  }
  std::uint32_t head_len() const { return natives().http_head_len(&head, &from.cell); }

  GuardedFrame from;
  engine_http head;
  bool is_one;
};

TEST(Http, ReadsARequest) {
  Http http(
      "GET /a?b=c%20d HTTP/1.1\r\nHost: Example.org\r\nuser-agent:\t curl/8 \t\r\nX: 1\r\nx: 2\r\nE:\r\n\r\nbody: no");
  ASSERT_TRUE(http.is_one);
  EXPECT_TRUE(http.head._is_request);
  EXPECT_EQ(http.method(), "GET");
  EXPECT_EQ(http.target(), "/a?b=c%20d");
  EXPECT_EQ(http.head._minor, 1);
  EXPECT_EQ(http.field("host"), "Example.org");
  EXPECT_EQ(http.field("User-Agent"), "curl/8");
  EXPECT_EQ(http.field("x"), "1") << "the first of several";
  EXPECT_EQ(http.field("e"), "");
  EXPECT_EQ(http.field("hos"), "-");
  EXPECT_EQ(http.field("body"), "-") << "behind the empty line";
  EXPECT_EQ(http.from.packet.payload_len - http.head_len(), 8u);
}

TEST(Http, ReadsAResponse) {
  Http http("HTTP/1.0 404 Not Found\r\nContent-Length: 12\r\n\r\n");
  ASSERT_TRUE(http.is_one);
  EXPECT_FALSE(http.head._is_request);
  EXPECT_EQ(http.head._status, 404);
  EXPECT_EQ(http.head._minor, 0);
  EXPECT_EQ(http.reason(), "Not Found");
  EXPECT_EQ(http.field("content-length"), "12");
  EXPECT_EQ(Http("HTTP/1.1 200 \r\n\r\n").reason(), "");
  EXPECT_EQ(Http("HTTP/1.1 200\r\n\r\n").head._status, 200) << "without the last space";
}

TEST(Http, TakesBareLineEndsAndLeavesFoldedLinesAlone) {
  Http http("POST / HTTP/1.1\nA: 1\n folded: 2\nB: 3\n\n");
  ASSERT_TRUE(http.is_one);
  EXPECT_EQ(http.field("a"), "1");
  EXPECT_EQ(http.field("folded"), "-");
  EXPECT_EQ(http.field("b"), "3");
  EXPECT_EQ(http.head_len(), http.from.packet.payload_len);
}

TEST(Http, NeverCutsAValueSilently) {
  Http http("GET / HTTP/1.1\r\nHost: example.org\r\nCookie: abc");
  ASSERT_TRUE(http.is_one);
  EXPECT_EQ(http.field("host"), "example.org");
  EXPECT_EQ(http.field("cookie"), "-");
  EXPECT_EQ(http.head_len(), 0u);
  Http line("GET /a/very/long/target");
  ASSERT_TRUE(line.is_one);
  EXPECT_EQ(line.method(), "GET");
  EXPECT_EQ(line.target(), "");
  EXPECT_EQ(line.field("host"), "-");
  Http status("HTTP/1.1 301 Moved");
  ASSERT_TRUE(status.is_one);
  EXPECT_EQ(status.head._status, 301);
  EXPECT_EQ(status.reason(), "");
}

TEST(Http, IsNoneForWhatOnlyLooksLikeIt) {
  for (const char* payload : {"",
                              "GET",
                              "GET / HTTP/2.0\r\n\r\n",
                              "GET  / HTTP/1.1\r\n\r\n",
                              "get / HTTP/1.1\r\n\r\n",
                              "GET /HTTP/1.1\r\n\r\n",
                              "GET / HTTP/1.1 \r\n\r\n",
                              "GET / http/1.1\r\n\r\n",
                              "GET / HTTP/1.x\r\n\r\n",
                              "GET / HTTP/1.11\r\n",
                              "GET /a b HTTP/1.1\r\n\r\n",
                              "GET /\x01 HTTP/1.1\r\n\r\n",
                              "ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1\r\n",
                              "FOO /cut/here/and/there",
                              "GET relative/and/cut",
                              "HTTP/1.1 20x OK\r\n\r\n",
                              "HTTP/1.1 2000 OK\r\n",
                              "HTTP/1.1  200 OK\r\n",
                              "HTTP/1.1 099 OK\r\n",
                              "HTTP/2 200 OK\r\n\r\n",
                              "HTTP/1.1200 OK\r\n\r\n",
                              "\r\nGET / HTTP/1.1\r\n\r\n",
                              "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                              "EHLO example.org\r\n",
                              "USER anonymous\r\n",
                              "SIP/2.0 200 OK\r\n\r\n",
                              "INVITE sip:a@b SIP/2.0\r\n\r\n"})
    EXPECT_FALSE(Http(std::string_view(payload)).is_one) << payload;
  EXPECT_FALSE(Http(udp4(1, 80, bytes("GET / HTTP/1.1\r\n\r\n"))).is_one);
  EXPECT_TRUE(Http("M-SEARCH * HTTP/1.1\r\n\r\n").is_one);
  EXPECT_TRUE(Http("CONNECT example.org:443 HTTP/1.1\r\n\r\n").is_one);
  EXPECT_TRUE(Http("VERSION_CONTROL / HTTP/1.1\r\n").is_one);
}

}  // namespace
}  // namespace test
