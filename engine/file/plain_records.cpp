#include "engine/file/plain_records.h"

#include <cerrno>
#include <cstdio>

namespace engine {
namespace {

constexpr std::uint32_t kMicrosecondMagic = 0xa1b2c3d4, kNanosecondMagic = 0xa1b23c4d;  // pcap-savefile(5)

}  // namespace

PlainRecords::PlainRecords(BlockReader::Read read, void* cookie, std::uint32_t snaplen, bool nanoseconds)
    : input_(read, cookie, sizeof(Head) + kMaxCaplen), snaplen_(snaplen), fraction_ns_(nanoseconds ? 1 : 1000) {}

// Before version 2.4 the two lengths may be the other way round.
bool PlainRecords::are_in(const std::byte* head, bool& nanoseconds) noexcept {
  pcap_file_header header;
  std::memcpy(&header, head, sizeof header);
  nanoseconds = header.magic == kNanosecondMagic;
  return (nanoseconds || header.magic == kMicrosecondMagic) && header.version_major == 2 && header.version_minor == 4;
}

bool PlainRecords::fill(std::size_t bytes) noexcept {
  while (there() < bytes) {
    const std::size_t before = there();
    const BlockReader::Bytes now = input_.next({begin_, before});
    begin_ = now.data;
    end_ = begin_ + now.size;
    error_ = now.error;
    if (now.size == before) return false;
  }
  return true;
}

PlainRecords::Status PlainRecords::fail(const char* format, std::size_t wanted, std::size_t got) noexcept {
  if (error_ != 0) {
    std::snprintf(failure_.data(), failure_.size(), "error reading dump file: %s", std::strerror(error_));
  } else {
    std::snprintf(failure_.data(), failure_.size(), format, wanted, got);
  }
  return Status::failed;
}

PlainRecords::Status PlainRecords::head_is_missing() noexcept {
  const std::size_t got = there();
  if (got == 0 && error_ == 0) return Status::end;
  return fail("truncated dump file; tried to read %zu header bytes, only got %zu", sizeof(Head), got);
}

PlainRecords::Status PlainRecords::body_is_missing(const Head& head) noexcept {
  if (head.caplen > kMaxCaplen) {
    error_ = 0;
    if (head.caplen > snaplen_)
      return fail("invalid packet capture length %zu, bigger than snaplen of %zu", head.caplen, snaplen_);
    return fail("invalid packet capture length %zu, bigger than maximum of %zu", head.caplen, kMaxCaplen);
  }
  const std::size_t got = there() - sizeof head;
  // libpcap reads what it keeps before what it leaves out.
  const std::size_t wanted = got < snaplen_ && head.caplen > snaplen_ ? snaplen_ : head.caplen;
  return fail("truncated dump file; tried to read %zu captured bytes, only got %zu", wanted, got);
}

}  // namespace engine
