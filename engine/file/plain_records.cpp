#include "engine/file/plain_records.h"

#include <cerrno>
#include <cstdio>

namespace engine {
namespace {

constexpr std::uint32_t kMicrosecondMagic = 0xa1b2c3d4, kNanosecondMagic = 0xa1b23c4d;  // pcap-savefile(5)

}  // namespace

PlainRecords::PlainRecords(Read read, void* cookie, std::uint32_t snaplen, bool nanoseconds)
    : read_(read),
      cookie_(cookie),
      snaplen_(snaplen),
      fraction_ns_(nanoseconds ? 1 : 1000),
      buffer_(std::make_unique_for_overwrite<std::uint8_t[]>(kBuffer_bytes)) {}

// Before version 2.4 the two lengths may be the other way round.
bool PlainRecords::are_in(const std::byte* head, bool& nanoseconds) noexcept {
  pcap_file_header header;
  std::memcpy(&header, head, sizeof header);
  nanoseconds = header.magic == kNanosecondMagic;
  return (nanoseconds || header.magic == kMicrosecondMagic) && header.version_major == 2 && header.version_minor == 4;
}

bool PlainRecords::fill(std::size_t bytes) noexcept {
  std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  while (end_ < bytes) {
    const ssize_t got = read_(cookie_, reinterpret_cast<char*>(buffer_.get()) + end_, kBlock_bytes);
    if (got <= 0) {
      error_ = got < 0 ? errno : 0;
      return false;
    }
    end_ += static_cast<std::size_t>(got);
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
  const std::size_t got = end_ - begin_;
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
  const std::size_t got = end_ - begin_ - sizeof head;
  // libpcap reads what it keeps before what it leaves out.
  const std::size_t wanted = got < snaplen_ && head.caplen > snaplen_ ? snaplen_ : head.caplen;
  return fail("truncated dump file; tried to read %zu captured bytes, only got %zu", wanted, got);
}

}  // namespace engine
