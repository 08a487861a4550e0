#include "engine/gen/samples.h"

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "engine/gen/byte_writer.h"
#include "engine/gen/checksum.h"

namespace engine::gen {
namespace {

using Content = std::vector<std::byte>;

constexpr std::uint32_t client4 = 0x0a000001, server4 = 0xc6120001;  // as the mix has them; see spec.h
constexpr std::uint8_t tcp = 6, udp = 17, icmp = 1;
enum Flags : unsigned { fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10 };

void add_text(ByteWriter& out, std::string_view text) {
  for (const char c : text) out.u8(static_cast<unsigned char>(c));
}

void add_ethernet(ByteWriter& out, unsigned type) {
  for (const unsigned last : {2u, 1u}) {  // destination, source; locally administered
    out.u16(0x0200);
    out.u32(last);
  }
  out.u16(type);
}

// Puts the checksum over the bytes from `begin` on, with what is summed up already, at `at`.
void set_checksum(ByteWriter& out, std::size_t begin, std::size_t end, std::size_t at, std::uint64_t sum = 0) {
  const std::uint16_t checksum = finish(sum + sum_bytes(out.bytes().subspan(begin, end - begin)));
  std::memcpy(out.bytes().data() + at, &checksum, sizeof checksum);
}

// RFC 791, 3.1.
void add_ip4(ByteWriter& out, std::uint8_t proto, std::uint32_t src, std::uint32_t dst, std::size_t payload_bytes) {
  const std::size_t begin = out.at();
  out.u16(0x4500);
  out.u16(static_cast<unsigned>(20 + payload_bytes));
  out.u32(0x00014000);  // an identifier; don't fragment
  out.u8(64);
  out.u8(proto);
  out.u16(0);
  out.u32(src);
  out.u32(dst);
  set_checksum(out, begin, begin + 20, begin + 10);
}

struct Segment {
  bool from_client;
  unsigned port;  // the server's
  unsigned flags;
  Content options;
  Content payload;
};

// What the two sides of a connection have sent so far: the client's next sequence number and the server's.
struct Progress {
  std::uint32_t client;
  std::uint32_t server;
};

// RFC 9293, 3.1.
Content tcp_frame(const Segment& segment, unsigned serial, Progress& sent) {
  ByteWriter out;
  add_ethernet(out, 0x0800);
  const std::size_t length = 20 + segment.options.size() + segment.payload.size();
  const std::uint32_t client = client4 + serial;
  const std::uint32_t src = segment.from_client ? client : server4, dst = segment.from_client ? server4 : client;
  add_ip4(out, tcp, src, dst, length);
  const std::size_t begin = out.at();
  out.u16(segment.from_client ? 1024 + serial : segment.port);
  out.u16(segment.from_client ? segment.port : 1024 + serial);
  std::uint32_t& mine = segment.from_client ? sent.client : sent.server;
  out.u32(mine);
  out.u32((segment.flags & ack) == 0 ? 0 : segment.from_client ? sent.server : sent.client);
  mine += static_cast<std::uint32_t>(segment.payload.size()) + ((segment.flags & (syn | fin)) != 0 ? 1 : 0);
  out.u16(static_cast<unsigned>((20 + segment.options.size()) / 4 << 12 | segment.flags));
  out.u16(0xfaf0);
  out.u32(0);
  out.raw(std::span<const std::byte>(segment.options));
  out.raw(std::span<const std::byte>(segment.payload));
  ByteWriter pseudo;  // RFC 9293, 3.1: what the checksum covers beside
  pseudo.u32(src);
  pseudo.u32(dst);
  pseudo.u16(tcp);
  pseudo.u16(static_cast<unsigned>(length));
  set_checksum(out, begin, out.at(), begin + 16, sum_bytes(pseudo.bytes()));
  return out.take();
}

Content text(std::string_view content) {
  ByteWriter out;
  add_text(out, content);
  return out.take();
}

Content syn_options(unsigned mss) {
  ByteWriter out;
  out.u16(0x0204);  // MSS
  out.u16(mss);
  out.u16(0x0402);  // SACK permitted
  out.u16(0x080a);  // time stamps
  out.u32(123456);
  out.u32(0);
  out.u32(0x01030307);  // window scale 7
  return out.take();
}

// An extension whose content is one list: type, length, the list's length, the list.
void add_list(ByteWriter& out, unsigned type, std::size_t list_bytes) {
  out.u16(type);
  out.u16(static_cast<unsigned>(list_bytes + 2));
  out.u16(static_cast<unsigned>(list_bytes));
}

// A ClientHello with server name, ALPN and versions (RFC 8446, 4.1.2).
Content tls_hello(std::string_view name) {
  ByteWriter extensions;
  add_list(extensions, 0, name.size() + 3);  // server_name (RFC 6066, 3)
  extensions.u8(0);
  extensions.u16(static_cast<unsigned>(name.size()));
  add_text(extensions, name);
  add_list(extensions, 16, 12);  // ALPN (RFC 7301)
  extensions.u8(2);
  add_text(extensions, "h2");
  extensions.u8(8);
  add_text(extensions, "http/1.1");
  extensions.u16(43);  // supported_versions: TLS 1.3 and 1.2
  extensions.u16(5);
  extensions.u8(4);
  extensions.u32(0x03040303);
  const std::size_t body_bytes = 2 + 32 + 1 + 2 + 4 + 2 + 2 + extensions.bytes().size();
  ByteWriter out;
  out.u8(22);  // handshake
  out.u16(0x0301);
  out.u16(static_cast<unsigned>(body_bytes + 4));
  out.u32(static_cast<std::uint32_t>(1u << 24 | body_bytes));  // ClientHello
  out.u16(0x0303);
  for (int i = 0; i < 8; ++i) out.u32(0x5eed0000);  // the random
  out.u8(0);                                        // session id
  out.u16(4);
  out.u32(0x1301c02f);  // cipher suites
  out.u16(0x0100);      // no compression
  out.u16(static_cast<unsigned>(extensions.bytes().size()));
  out.raw(std::span<const std::byte>(extensions.bytes()));
  return out.take();
}

// An ICMP error about a datagram of the client's (RFC 792).
Content icmp_error(unsigned type, unsigned code) {
  ByteWriter out;
  add_ethernet(out, 0x0800);
  add_ip4(out, icmp, server4, client4, 8 + 20 + 8);
  const std::size_t begin = out.at();
  out.u8(type);
  out.u8(code);
  out.u16(0);
  out.u32(0);
  add_ip4(out, udp, client4, server4, 8);
  out.u32(0x04000009);  // port 1024 to 9
  out.u32(0x00080000);
  set_checksum(out, begin, out.at(), begin + 2);
  return out.take();
}

// RFC 826.
Content arp(unsigned operation, unsigned host) {
  ByteWriter out;
  add_ethernet(out, 0x0806);
  out.u32(0x00010800);
  out.u16(0x0604);
  out.u16(operation);
  out.u16(0x0200);
  out.u32(1);
  out.u32(client4 + host);
  out.u16(0);
  out.u32(0);
  out.u32(client4 + host + 1);
  for (int i = 0; i < 9; ++i) out.u16(0);  // up to the 60 bytes that Ethernet has at least
  return out.take();
}

}  // namespace

std::vector<std::vector<std::byte>> sample_frames(unsigned round) {
  std::vector<Content> frames;
  unsigned serial = 4 * round;
  for (const std::string host : {"www.example.com", "api.example.net", "static.example.org", "login.example.net"}) {
    const std::string request =
        "GET /index.html HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";
    const Content found = text("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello");
    const Content missing = text("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    Progress sent{1000 * serial, 7000};
    for (const Segment& segment :
         {Segment{true, 80, syn, syn_options(1460), {}}, Segment{false, 80, syn | ack, syn_options(1400), {}},
          Segment{true, 80, ack, {}, {}}, Segment{true, 80, psh | ack, {}, text(request)},
          Segment{false, 80, psh | ack, {}, serial % 2 == 0 ? found : missing}, Segment{true, 80, fin | ack, {}, {}},
          Segment{true, 443, syn, syn_options(1460), {}}, Segment{true, 443, psh | ack, {}, tls_hello(host)},
          Segment{false, 443, rst | ack, {}, {}}})
      frames.push_back(tcp_frame(segment, serial, sent));
    frames.push_back(serial % 2 == 0 ? icmp_error(3, 3) : icmp_error(11, 0));  // port unreachable; time exceeded
    frames.push_back(arp(serial % 2 + 1, serial));
    ++serial;
  }
  return frames;
}

}  // namespace engine::gen
