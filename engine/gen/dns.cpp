// DNS messages on the wire: header, one question, and in a response one answer that points back at the question.
#include "engine/gen/dns.h"

#include <array>
#include <cstdint>
#include <string_view>

#include "engine/gen/byte_writer.h"

namespace engine::gen {
namespace {

constexpr std::array<std::string_view, dns_name_count> names = {"www.example.com",    "mail.example.com",
                                                                "api.example.net",    "cdn.example.net",
                                                                "static.example.org", "example.org",
                                                                "ns1.example.com",    "updates.device.example",
                                                                "login.example.net",  "a.long.label.path.example.org",
                                                                "time.example.com",   "nosuchname.example.com"};

constexpr std::uint16_t type_a = 1, type_aaaa = 28, class_in = 1;
// Header flags, RFC 1035 section 4.1.1: QR, RD, RA, and RCODE 3 for a name that does not exist.
constexpr std::uint16_t flags_query = 0x0100, flags_response = 0x8180, rcode_name_error = 3;

void add_name(ByteWriter& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    out.u8(static_cast<unsigned>(label.size()));
    for (char c : label) out.u8(static_cast<unsigned char>(c));
    text.remove_prefix(dot == std::string_view::npos ? text.size() : dot + 1);
  }
  out.u8(0);
}

}  // namespace

std::vector<std::byte> build_dns_message(std::size_t name, bool response) {
  const bool exists = name + 1 < dns_name_count;
  const bool ipv6 = name % 2 == 1;
  const std::uint16_t type = ipv6 ? type_aaaa : type_a;
  ByteWriter out;
  out.u16(0);  // transaction identifier: patched per packet
  out.u16(response ? flags_response | (exists ? 0 : rcode_name_error) : flags_query);
  out.u16(1);
  out.u16(response && exists ? 1 : 0);
  out.u32(0);
  add_name(out, names[name]);
  out.u16(type);
  out.u16(class_in);
  if (response && exists) {
    out.u16(0xc00c);  // the question's name, RFC 1035 section 4.1.4
    out.u16(type);
    out.u16(class_in);
    out.u32(300);
    out.u16(ipv6 ? 16 : 4);
    if (ipv6) {
      out.u32(0x20010db8);  // 2001:db8::/32, RFC 3849
      out.u32(0);
      out.u32(0);
      out.u32(static_cast<std::uint32_t>(name + 1));
    } else {
      out.u32(0xc0000201 + static_cast<std::uint32_t>(name));  // 192.0.2.0/24, RFC 5737
    }
  }
  return out.take();
}

}  // namespace engine::gen
