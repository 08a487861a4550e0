// A frame as the parsers get it: decoded by the engine, its last captured byte the last one that can be read.
#pragma once

#include <arpa/inet.h>

#include <string>
#include <string_view>

#include "plugins/protocols/natives.h"
#include "tests/decode/frames.h"
#include "tests/decode/guarded_frame.h"

namespace test {

inline Bytes bytes(std::string_view text) { return Bytes(text.begin(), text.end()); }

// What the natives are given for one frame. One at a time: all lie at the same guard.
struct GuardedFrame {
  explicit GuardedFrame(const Bytes& frame, engine::LinkType link = engine::LinkType::ethernet) {
    static thread_local GuardedPages pages(1 << 17);
    cell.frames = pages.place(frame);
    cell.next = 3;
    cell.generation = 77;
    engine::decode_link(link, cell.frames, static_cast<std::uint32_t>(frame.size()), packet);
    packet.caplen = packet.len = static_cast<std::uint32_t>(frame.size());
  }
  std::string text(std::uint32_t off, std::uint32_t len) const {
    return {reinterpret_cast<const char*>(cell.frames) + off, len};
  }

  engine_cell cell{};
  engine_packet packet{};
};

inline std::string text_of(const engine_addr& address) {
  std::uint8_t raw[16];
  std::memcpy(raw, &address, sizeof raw);
  char text[INET6_ADDRSTRLEN];
  const bool mapped = address._hi == 0 && raw[8] == 0 && raw[9] == 0 && raw[10] == 0xff && raw[11] == 0xff;
  return ::inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? raw + 12 : raw, text, sizeof text);
}

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

}  // namespace test
