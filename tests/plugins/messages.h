// DNS, HTTP and TLS messages for the tests, byte by byte, and the frames that carry them.
#pragma once

#include <string_view>

#include "tests/decode/frames.h"

namespace test {

inline Bytes bytes(std::string_view text) { return Bytes(text.begin(), text.end()); }

inline Bytes udp4(unsigned src, unsigned dst, const Bytes& payload) {
  return ethernet(0x0800) + ipv4({}, udp(src, dst, payload));
}
inline Bytes tcp4(unsigned src, unsigned dst, const Bytes& payload) {
  return ethernet(0x0800) + ipv4({.proto = 6}, tcp(src, dst, 0x18, payload));
}

// "www.example.com" as labels, with the root.
inline Bytes dns_labels(std::string_view name) {
  Bytes out;
  while (!name.empty()) {
    const std::size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    out.push_back(static_cast<std::uint8_t>(label.size()));
    out = out + bytes(label);
    name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  }
  out.push_back(0);
  return out;
}
inline Bytes dns_header(unsigned flags, unsigned questions, unsigned answers = 0) {
  return be16(0x1234) + be16(flags) + be16(questions) + be16(answers) + be16(0) + be16(0);
}
inline Bytes dns_query(std::string_view name, unsigned type = 1) {
  return dns_header(0x0100, 1) + dns_labels(name) + be16(type) + be16(1);
}
inline Bytes dns_record(const Bytes& name, unsigned type, unsigned ttl, const Bytes& data) {
  return name + be16(type) + be16(1) + be32(ttl) + be16(data.size()) + data;
}
inline const Bytes kToQuestion = {0xc0, 12};  // a pointer to the first question's name

// A ClientHello (RFC 8446, 4.1.2) with these extensions, in one record.
inline Bytes be24(std::size_t value) { return Bytes{static_cast<std::uint8_t>(value >> 16)} + be16(value & 0xffff); }
inline Bytes tls_extension(unsigned type, const Bytes& data) { return be16(type) + be16(data.size()) + data; }
inline Bytes tls_sni(std::string_view name) {
  return tls_extension(0, be16(name.size() + 3) + Bytes{0} + be16(name.size()) + bytes(name));
}
inline Bytes tls_hello_body(const Bytes& extensions, unsigned version = 0x0303, std::uint8_t session_id_bytes = 32) {
  Bytes body = be16(version) + filled(32, 0x77) + Bytes{session_id_bytes} + filled(session_id_bytes, 0x11) + be16(6) +
               be16(0x1a1a) + be16(0x1301) + be16(0xc02f) + Bytes{1, 0};
  if (!extensions.empty()) body = body + be16(extensions.size()) + extensions;
  return body;
}
inline Bytes tls_record(const Bytes& body) {
  return Bytes{22, 3, 1} + be16(body.size() + 4) + Bytes{1} + be24(body.size()) + body;
}

// One of each kind that the standard library reads.
inline std::vector<Bytes> sample_messages() {
  const Bytes error = ipv4({}, udp(1, 53, filled(8)));
  return {udp4(4000, 53, dns_query("www.example.org")),
          udp4(53, 4000,
               dns_header(0x8183, 1, 3) + dns_labels("a.test") + be16(1) + be16(1) +
                   dns_record(kToQuestion, 5, 60, dns_labels("b.test")) + dns_record(kToQuestion, 1, 60, be32(1)) +
                   dns_record(kToQuestion, 15, 60, be16(1) + kToQuestion)),
          tcp4(4000, 53, be16(24) + dns_query("a.test")),
          tcp4(4000, 80, bytes("GET /a HTTP/1.1\r\nHost: example.org\r\nContent-Length: 12\r\n\r\n")),
          tcp4(80, 4000, bytes("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n")),
          tcp4(4000, 443,
               tls_record(tls_hello_body(tls_extension(0x2a2a, {}) + tls_sni("example.org") +
                                         tls_extension(16, be16(12) + Bytes{2, 'h', '2', 8} + bytes("http/1.1")) +
                                         tls_extension(43, Bytes{6} + be16(0xfafa) + be16(0x0304) + be16(0x0303))))),
          ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 2, {}, Bytes{2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
                                                                       0, 9, 0, 0,   0, 0, 1, 3,  3, 7})),
          ethernet(0x0800) + ipv4({.proto = 1}, icmp(3, 4, error)),
          ethernet(0x86dd) + ipv6({.next = 58}, icmp(1, 4, ipv6({.next = 0}, extension(17) + udp(1, 2, {})))),
          ethernet(0x0806) + be16(1) + be16(0x0800) + Bytes{6, 4} + be16(1) + filled(20)};
}

}  // namespace test
