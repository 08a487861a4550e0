// Any bytes as a frame that a parser of the standard library gets, flush against an unreadable page. The first byte
// chooses: bit 7, a frame that decode reads; else the payload of a packet that says it is well-formed around it. What a
// parser takes is then read as a plugin would: every name, answer, header field and list.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "plugins/protocols/natives.h"
#include "tests/decode/guarded_frame.h"

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

const engine_protocol_natives& natives() { return plugins::protocol_natives(); }

// Every byte of it lies in the captured ones: reads them.
void touch(const engine_cell& cell, const engine_packet& p, std::uint64_t off, std::uint64_t len) {
  require(off + len <= p._off + std::uint64_t{p.caplen}, "a place behind the captured bytes");
  for (std::uint64_t i = 0; i < len; ++i) asm volatile("" : : "r"(cell.frames[off + i]));
}

void name_of(const engine_cell& cell, std::uint32_t off, std::uint32_t len, std::uint32_t at) {
  char text[ENGINE_DNS_NAME_BYTES];
  const std::uint32_t length = natives().dns_name(cell.frames + off, len, at, true, text);
  require(length <= 1003, "a name that is too long");
  for (std::uint32_t i = 0; i < length; ++i) require(text[i] > 0x20 && text[i] < 0x7f, "a name that is no text");
}

void read_dns(const engine_cell& cell, const engine_packet& p, bool any_port) {
  engine_dns dns;
  if (!natives().dns(&dns, &cell, &p, any_port)) return;
  touch(cell, p, dns._off, dns._len);
  if (dns._qname != 0) name_of(cell, dns._off, dns._len, dns._qname);
  engine_dns_answer answer;
  for (std::uint32_t i = 1; i <= dns._answer_count; ++i) {
    if (!natives().dns_answer(&dns, &cell, i, &answer)) break;
    name_of(cell, answer._off, answer._len, answer._name);
    touch(cell, p, answer._off + std::uint64_t{answer._data}, answer._data_len);
    if (answer._target != 0) name_of(cell, answer._off, answer._len, answer._target);
  }
  natives().dns_answer(&dns, &cell, 1, &answer);  // backwards
}

void read_http(const engine_cell& cell, const engine_packet& p) {
  engine_http http;
  if (!natives().http(&http, &cell, &p)) return;
  touch(cell, p, http._off, http._method_len);
  touch(cell, p, http._off + std::uint64_t{http._target}, http._target_len);
  touch(cell, p, http._off + std::uint64_t{http._reason}, http._reason_len);
  require(natives().http_head_len(&http, &cell) <= http._len, "a head that is longer than its segment");
  for (const char* name : {"host", "user-agent", "content-length", "x"}) {
    engine_span value;
    const auto length = static_cast<std::uint32_t>(std::strlen(name));
    if (!natives().http_field(&http, &cell, name, length, &value)) continue;
    touch(cell, p, value.off, value.len);
    natives().decimal(cell.frames + value.off, value.len);
  }
}

void read_tls(const engine_cell& cell, const engine_packet& p) {
  engine_tls tls;
  if (!natives().tls(&tls, &cell, &p)) return;
  touch(cell, p, tls._off, tls._len);
  for (const auto& [at, len] : {std::pair{tls._sni, tls._sni_len},
                                {tls._alpn, tls._alpn_len},
                                {tls._versions, tls._versions_len},
                                {tls._ciphers, tls._ciphers_len}})
    touch(cell, p, tls._off + std::uint64_t{at}, len);
  for (std::uint32_t i = 0; i < tls._sni_len; ++i) {
    const std::uint8_t c = cell.frames[tls._off + tls._sni + i];
    require(c > 0x20 && c < 0x7f, "a host name that is no text");
  }
}

void read_headers(const engine_cell& cell, const engine_packet& p) {
  engine_eth eth;
  if (natives().eth(&eth, &cell, &p)) touch(cell, p, eth._off, 14);
  engine_arp arp;
  if (natives().arp(&arp, &cell, &p)) touch(cell, p, arp._off, 28);
  engine_ip ip;
  if (natives().ip(&ip, &cell, &p)) touch(cell, p, ip._off, ip._version == 4 ? 20 : 40);
  engine_tcp tcp;
  if (natives().tcp(&tcp, &cell, &p)) touch(cell, p, tcp._off, 20);
  engine_icmp icmp;
  if (natives().icmp(&icmp, &cell, &p)) touch(cell, p, icmp._off, 8);
}

// A TCP or UDP packet whose payload is all of it, behind a header that lies in the bytes as well.
engine_packet around(std::uint8_t choice, std::size_t size) {
  engine_packet p{};
  const bool is_tcp = (choice & 1) != 0;
  p.proto = is_tcp ? 6 : 17;
  p.ip_version = 4;
  p.l4_off = 1;
  p.payload_off = static_cast<std::uint16_t>(1 + (is_tcp ? 20 : 8));
  p.payload_len = static_cast<std::uint32_t>(size - p.payload_off);
  p.src_port = (choice & 2) != 0 ? 53 : 4000;
  p.dst_port = 4001;
  return p;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 30 || size > 65536) return 0;
  static thread_local test::GuardedPages pages(1 << 17);
  const std::uint8_t choice = data[0];
  engine_cell cell{};
  engine_packet p;
  if ((choice & 0x80) != 0) {
    cell.frames = pages.place({data + 1, size - 1});
    size -= 1;
    engine::decode_link(static_cast<engine::LinkType>((choice & 0x7f) % 6), cell.frames,
                        static_cast<std::uint32_t>(size), p);
  } else {
    cell.frames = pages.place({data, size});
    p = around(choice, size);
  }
  p.caplen = p.len = static_cast<std::uint32_t>(size);
  read_dns(cell, p, false);
  read_dns(cell, p, true);
  read_http(cell, p);
  read_tls(cell, p);
  read_headers(cell, p);
  return 0;
}
