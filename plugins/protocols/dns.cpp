#include "plugins/protocols/dns.h"

#include "plugins/protocols/bytes.h"

namespace plugins::protocols {
namespace {

constexpr std::uint32_t kHeader_bytes = 12;
constexpr std::uint32_t kLongestName_bytes = 255;  // RFC 1035, 2.3.4
constexpr int kMaxPointers = 127;                  // one per label of the longest name
constexpr std::uint32_t kLeastQuestion_bytes = 5;  // the root, type, class

// Calls label(at, length) for each label of the name. Returns where the bytes behind the name's own place begin, 0 if
// it is no name. A pointer leads to a prior occurrence (RFC 1035, 4.1.4): before the labels that end in it; so each
// one goes further back than the last, and no chain of them is endless.
template <typename Label>
std::uint32_t walk_name(Bytes message, std::uint32_t at, const Label& label) noexcept {
  std::uint32_t behind = 0, begin = at, wire_bytes = 1;
  for (int pointers = 0;;) {
    if (!message.has(at, 1)) return 0;
    const std::uint32_t length = message.u8(at);
    if (length == 0) return behind != 0 ? behind : at + 1;
    if (length >= 0xc0) {
      if (!message.has(at, 2) || ++pointers > kMaxPointers) return 0;
      const std::uint32_t to = message.u16(at) & 0x3fffu;
      if (to >= begin || to < kHeader_bytes) return 0;
      if (behind == 0) behind = at + 2;
      begin = at = to;
      continue;
    }
    wire_bytes += length + 1;
    if (length > 63 || wire_bytes > kLongestName_bytes || !message.has(at + 1, length)) return 0;
    label(at + 1, length);
    at += length + 1;
  }
}

// Behind the name, wherever its pointer leads; 0 if it is cut. For records that are passed over.
std::uint32_t skip_name(Bytes message, std::uint32_t at) noexcept {
  while (message.has(at, 1)) {
    const std::uint32_t length = message.u8(at);
    if (length >= 0xc0) return message.has(at, 2) ? at + 2 : 0;
    if (length > 63) return 0;
    at += length + 1;
    if (length == 0) return at;
  }
  return 0;
}

bool is_dns_port(std::uint16_t port) noexcept {
  return port == 53 || port == 5353 || port == 5355;  // DNS; multicast DNS (RFC 6762); LLMNR (RFC 4795)
}

// Header and first question. `whole`: the message was captured to its end.
bool parse_message(engine_dns& dns, Bytes message, bool whole) noexcept {
  dns._id = message.u16(0);
  dns._flags = message.u16(2);
  dns._question_count = message.u16(4);
  dns._answer_count = message.u16(6);
  dns._authority_count = message.u16(8);
  dns._additional_count = message.u16(10);
  dns._qname = dns._next_at = dns._next = 0;
  dns._qtype = dns._qclass = 0;
  dns._len = message.size;
  dns._truncated = !whole;
  if (dns._question_count == 0) return true;
  if (whole && dns._question_count > (message.size - kHeader_bytes) / kLeastQuestion_bytes) return false;
  const std::uint32_t at = walk_name(message, kHeader_bytes, [](std::uint32_t, std::uint32_t) {});
  if (at == 0 || !message.has(at, 4)) return false;
  dns._qname = kHeader_bytes;
  dns._qtype = message.u16(at);
  dns._qclass = message.u16(at + 2);
  return true;
}

// What every server and client sends: for ports that say nothing. One question of a known class (RFC 6895, 3.2; the
// highest bit is mDNS's own), a known opcode (RFC 6895, 2.2), the reserved bit zero.
bool is_plausible(const engine_dns& dns) noexcept {
  const unsigned opcode = dns._flags >> 11 & 15u, qclass = dns._qclass & 0x7fffu;
  return dns._question_count == 1 && opcode <= 6 && opcode != 3 && (dns._flags & 0x40) == 0 &&
         (qclass == 1 || qclass == 3 || qclass == 4 || qclass == 254 || qclass == 255);
}

// Where the answers begin; 0 if a question before them is cut.
std::uint32_t behind_questions(Bytes message, unsigned count) noexcept {
  std::uint32_t at = kHeader_bytes;
  for (unsigned i = 0; i < count; ++i) {
    at = skip_name(message, at);
    if (at == 0 || !message.has(at, 4)) return 0;
    at += 4;
  }
  return at;
}

struct Record {
  std::uint32_t name, data, data_len;  // places in the message
};

// RFC 1035, 4.1.3. False if the record is cut.
bool read_record(Bytes message, std::uint32_t at, Record& record) noexcept {
  constexpr std::uint32_t kFixed_bytes = 10;  // type, class, TTL, length
  const std::uint32_t behind_name = skip_name(message, at);
  if (behind_name == 0 || !message.has(behind_name, kFixed_bytes)) return false;
  record = {at, behind_name + kFixed_bytes, message.u16(behind_name + 8)};
  return message.has(record.data, record.data_len);
}

void read_data(Bytes message, engine_dns_answer& answer) noexcept {
  answer._target = 0;
  answer._priority = 0;
  answer._has_address = answer._has_priority = false;
  answer._address = {};
  const std::uint32_t at = answer._data, length = answer._data_len;
  switch (answer._type) {
    case 1:  // A
      if (length == 4) answer._address = address4(message, at), answer._has_address = true;
      break;
    case 28:  // AAAA (RFC 3596)
      if (length == 16) answer._address = address6(message, at), answer._has_address = true;
      break;
    case 2:   // NS
    case 5:   // CNAME
    case 6:   // SOA: the primary server
    case 12:  // PTR
    case 39:  // DNAME (RFC 6672)
      if (length > 0) answer._target = at;
      break;
    case 15:    // MX: preference, host
    case 33: {  // SRV (RFC 2782): priority, weight, port, host
      const std::uint32_t before = answer._type == 15 ? 2 : 6;
      if (length <= before) break;
      answer._priority = message.u16(at);
      answer._has_priority = true;
      answer._target = at + before;
      break;
    }
    default:
      break;
  }
}

// For each byte the character that stands for it, 0 where it is escaped.
struct Alphabet {
  char of[2][256]{};  // [lower]

  constexpr Alphabet() {
    for (int c = 0x21; c < 0x7f; ++c) {
      if (c == '.' || c == '\\') continue;
      of[0][c] = static_cast<char>(c);
      of[1][c] = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
  }
};
constexpr Alphabet kAlphabet;

// RFC 1035, 5.1: \X for what is special there, \DDD for what is no visible character.
char* put_escaped(std::uint8_t byte, char* to) noexcept {
  *to++ = '\\';
  if (byte == '.' || byte == '\\') {
    *to++ = static_cast<char>(byte);
    return to;
  }
  *to++ = static_cast<char>('0' + byte / 100);
  *to++ = static_cast<char>('0' + byte / 10 % 10);
  *to++ = static_cast<char>('0' + byte % 10);
  return to;
}

}  // namespace

bool parse_dns(engine_dns* dns, const engine_cell* cell, const engine_packet* packet, bool any_port) noexcept {
  const engine_packet& p = *packet;
  if (!any_port && !is_dns_port(p.src_port) && !is_dns_port(p.dst_port)) return false;
  Bytes message = payload_of(*cell, p);
  if (message.size < kHeader_bytes) return false;
  std::uint32_t at = p.payload_off;
  bool whole;
  if (p.proto == kUdp) {
    const std::uint32_t sent = frame_of(*cell, p).u16(p.l4_off + 4u);  // with the UDP header; 0: to the end
    whole = message.size + 8 >= sent;
  } else {
    // RFC 1035, 4.2.2: two bytes of length before each message. Another may follow; this is about the first one.
    const std::uint32_t sent = message.u16(0);
    whole = message.size - 2 >= sent;
    message = message.part(2, sent);
    at += 2;
  }
  if (!message.has(0, kHeader_bytes) || !parse_message(*dns, message, whole)) return false;
  // The middle of a stream looks like anything.
  if ((any_port || p.proto == kTcp) && !is_plausible(*dns)) return false;
  open(*dns, *cell, p, at);
  return true;
}

std::uint32_t dns_name(const std::uint8_t* data, std::uint32_t size, std::uint32_t at, bool lower,
                       char* text) noexcept {
  const Bytes message{data, size};
  const char* alphabet = kAlphabet.of[lower ? 1 : 0];
  char* to = text;
  const std::uint32_t behind = walk_name(message, at, [&](std::uint32_t from, std::uint32_t length) {
    if (to != text) *to++ = '.';
    for (std::uint32_t i = from; i < from + length; ++i) {
      const char plain = alphabet[message.u8(i)];
      if (plain != 0) [[likely]] {
        *to++ = plain;
      } else {
        to = put_escaped(message.u8(i), to);
      }
    }
  });
  if (behind == 0) return 0;
  if (to == text) *to++ = '.';
  return static_cast<std::uint32_t>(to - text);
}

bool dns_answer(engine_dns* dns, const engine_cell* cell, double i, engine_dns_answer* answer) noexcept {
  if (!(i >= 1 && i <= dns->_answer_count)) return false;
  const auto wanted = static_cast<std::uint32_t>(i);
  const Bytes message{cell->frames + dns->_off, dns->_len};
  if (dns->_next_at == 0 || wanted < dns->_next) {
    dns->_next_at = behind_questions(message, dns->_question_count);
    dns->_next = 1;
    if (dns->_next_at == 0) dns->_next_at = message.size;  // nothing is there, also for the next call
  }
  Record record;
  do {
    if (!read_record(message, dns->_next_at, record)) return false;
    dns->_next_at = record.data + record.data_len;
  } while (dns->_next++ < wanted);
  const std::uint32_t fixed = record.data - 10;
  answer->_generation = dns->_generation;
  answer->_packet = dns->_packet;
  answer->_off = dns->_off;
  answer->_len = dns->_len;
  answer->_name = record.name;
  answer->_type = message.u16(fixed);
  answer->_class = message.u16(fixed + 2);
  answer->_ttl = message.u32(fixed + 4);
  answer->_data = record.data;
  answer->_data_len = record.data_len;
  read_data(message, *answer);
  return true;
}

}  // namespace plugins::protocols
