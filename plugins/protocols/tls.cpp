#include "plugins/protocols/tls.h"

#include <algorithm>

#include "plugins/protocols/bytes.h"

namespace plugins::protocols {
namespace {

constexpr std::uint32_t kRecordHeader_bytes = 5, kHandshakeHeader_bytes = 4;
constexpr std::uint32_t kRandomEnd = kRecordHeader_bytes + kHandshakeHeader_bytes + 2 + 32;
constexpr std::uint32_t kLongestRecord_bytes = (1u << 14) + 2048;  // RFC 5246, 6.2.3

enum Extension : std::uint16_t {  // IANA, TLS ExtensionType values
  kServerName = 0,
  kAlpn = 16,
  kSupportedVersions = 43,
  kEncryptedClientHello = 0xfe0d
};

// Reads one length after the other, and never behind the end; what was asked for behind it is empty and sets `cut`.
class Reader {
 public:
  Reader(Bytes bytes, std::uint32_t at) noexcept : bytes_(bytes), at_(at) {}

  std::uint32_t at() const noexcept { return at_; }
  bool cut() const noexcept { return cut_; }
  bool at_end() const noexcept { return cut_ || at_ >= bytes_.size; }

  std::uint32_t number(std::uint32_t size_bytes) noexcept {
    if (!take(size_bytes)) return 0;
    std::uint32_t value = 0;
    for (std::uint32_t i = at_ - size_bytes; i < at_; ++i) value = value << 8 | bytes_.u8(i);
    return value;
  }
  // What is as long as the number before it says; where it begins.
  std::uint32_t vector(std::uint32_t size_bytes, std::uint32_t& length) noexcept {
    const std::uint32_t wanted = number(size_bytes);
    length = take(wanted) ? wanted : 0;
    return at_ - length;
  }

 private:
  bool take(std::uint32_t bytes) noexcept {
    if (cut_ || !bytes_.has(at_, bytes)) {
      cut_ = true;
      return false;
    }
    at_ += bytes;
    return true;
  }

  Bytes bytes_;
  std::uint32_t at_;
  bool cut_ = false;
};

// A host name (RFC 6066, 3): ASCII without spaces. What has other bytes is no name, and not to be printed.
bool is_host_name(Bytes name) noexcept {
  if (name.size == 0 || name.size > 255) return false;
  for (std::uint32_t i = 0; i < name.size; ++i) {
    if (name.u8(i) <= 0x20 || name.u8(i) >= 0x7f) return false;
  }
  return true;
}

// The first name of the list; type 0 is the only one there is.
void read_server_name(engine_tls& tls, Bytes all, std::uint32_t at, std::uint32_t length) noexcept {
  Reader list({all.data, at + length}, at);
  list.number(2);
  const std::uint32_t type = list.number(1);
  std::uint32_t name_len = 0;
  const std::uint32_t name = list.vector(2, name_len);
  if (list.cut() || type != 0 || !is_host_name(all.part(name, name_len))) return;
  tls._sni = name;
  tls._sni_len = name_len;
}

// RFC 8701: values that mean nothing, so that nobody takes the lists for closed.
bool is_grease(std::uint32_t value) noexcept { return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff); }

void read_versions(engine_tls& tls, Bytes all, std::uint32_t at, std::uint32_t length) noexcept {
  Reader list({all.data, at + length}, at);
  tls._versions = list.vector(1, tls._versions_len);
  tls._versions_len &= ~1u;
  std::uint16_t highest = 0;
  for (std::uint32_t i = 0; i < tls._versions_len; i += 2) {
    const std::uint16_t version = all.u16(tls._versions + i);
    if (!is_grease(version) && version >> 8 == 3) highest = std::max(highest, version);
  }
  if (highest != 0) tls._version = highest;
}

void read_extension(engine_tls& tls, Bytes all, std::uint32_t type, std::uint32_t at, std::uint32_t length) noexcept {
  if (type == kServerName && tls._sni_len == 0) {
    read_server_name(tls, all, at, length);
  } else if (type == kSupportedVersions && tls._versions_len == 0) {
    read_versions(tls, all, at, length);
  } else if (type == kAlpn && tls._alpn_len == 0) {
    Reader list({all.data, at + length}, at);
    tls._alpn = list.vector(2, tls._alpn_len);
  } else if (type == kEncryptedClientHello) {
    tls._has_ech = true;
  }
}

// `hello` ends where the message or the segment does.
void read_hello(engine_tls& tls, Bytes hello) noexcept {
  Reader reader(hello, kRandomEnd);
  std::uint32_t length = 0;
  reader.vector(1, length);
  tls._session_id_len = static_cast<std::uint8_t>(length);
  tls._ciphers = reader.vector(2, tls._ciphers_len);
  tls._ciphers_len &= ~1u;
  reader.vector(1, length);     // compression methods
  if (reader.at_end()) return;  // no extensions: TLS 1.2 and before
  const std::uint32_t wanted = reader.number(2);
  const std::uint32_t end = std::min(hello.size, reader.at() + wanted);
  Reader extensions({hello.data, end}, reader.at());
  while (!extensions.at_end()) {
    const std::uint32_t type = extensions.number(2);
    const std::uint32_t at = extensions.vector(2, length);
    if (!extensions.cut()) read_extension(tls, hello, type, at, length);
  }
}

bool is_version(std::uint32_t version) noexcept { return version >= 0x0300 && version <= 0x0304; }

}  // namespace

bool parse_tls(engine_tls* tls, const engine_cell* cell, const engine_packet* packet) noexcept {
  if (packet->proto != kTcp) return false;
  const Bytes payload = payload_of(*cell, *packet);
  // A handshake record (22) with a ClientHello (1).
  if (!payload.has(0, kRandomEnd + 1) || payload.u8(0) != 22 || payload.u8(kRecordHeader_bytes) != 1) return false;
  const std::uint32_t record = payload.u16(3), message = payload.u24(kRecordHeader_bytes + 1);
  const std::uint32_t legacy_version = payload.u16(kRecordHeader_bytes + kHandshakeHeader_bytes);
  if (!is_version(payload.u16(1)) || !is_version(legacy_version)) return false;
  if (record > kLongestRecord_bytes || payload.u8(kRandomEnd) > 32) return false;  // RFC 5246: session id <0..32>
  const std::uint32_t end = kRecordHeader_bytes + std::min(record, kHandshakeHeader_bytes + message);
  const Bytes hello = payload.part(0, end);
  if (hello.size < kRandomEnd + 1) return false;
  *tls = {};
  open(*tls, *cell, *packet, packet->payload_off);
  tls->_len = hello.size;
  tls->_legacy_version = tls->_version = static_cast<std::uint16_t>(legacy_version);
  // Of a message that goes on in another record, this record's part is looked at.
  tls->_truncated = hello.size < kRecordHeader_bytes + kHandshakeHeader_bytes + message;
  read_hello(*tls, hello);
  return true;
}

}  // namespace plugins::protocols
