// The records of a plain pcap file, taken apart where they were read: no call and no copy a packet, which is most of
// what libpcap costs over a file. What a file is, is libpcap's to say (CaptureFile); it hands over here behind the
// file's header. Same packets, same words on what is damaged as libpcap's pcap_next_packet() (its sf-pcap.c).
//
// Used by one thread at a time. next() and what it calls do not throw.
#pragma once

#include <pcap/pcap.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

namespace engine {

class PlainRecords {
 public:
  // Reads up to `bytes` to `buffer`; 0 at the end, negative with errno set where it cannot be read.
  using Read = ssize_t (*)(void* cookie, char* buffer, std::size_t bytes);
  enum class Status { record, end, failed };

  // Records longer than `snaplen` are cut to it. `nanoseconds`: the file's stamps have them, else microseconds.
  PlainRecords(Read read, void* cookie, std::uint32_t snaplen, bool nanoseconds);

  // Whether a file that begins with these bytes has records that next() reads: this machine's byte order, version 2.4.
  static bool are_in(const std::byte* head, bool& nanoseconds) noexcept;

  // `header`'s time is in nanoseconds. The bytes lie in the buffer until the next call.
  inline Status next(pcap_pkthdr& header, const std::uint8_t*& bytes) noexcept;
  // Why the last next() failed.
  std::string failure() const { return failure_.data(); }

 private:
  struct Head {
    std::int32_t seconds;
    std::int32_t fraction;
    std::uint32_t caplen;
    std::uint32_t len;
  };
  static_assert(sizeof(Head) == 16);
  // libpcap's bound for the link types we know (MAXIMUM_SNAPLEN).
  static constexpr std::uint32_t kMaxCaplen = 262144;
  // One read() takes so much: large enough to forget its cost, small enough to stay in the second-level cache.
  static constexpr std::size_t kBlock_bytes = 256 * 1024;
  static constexpr std::size_t kBuffer_bytes = sizeof(Head) + kMaxCaplen + kBlock_bytes;

  // Has at least `bytes` in the buffer from begin_ on; false at the end of the file or a failure.
  bool fill(std::size_t bytes) noexcept;
  Status fail(const char* format, std::size_t wanted, std::size_t got) noexcept;
  Status head_is_missing() noexcept;
  Status body_is_missing(const Head& head) noexcept;

  Read read_;
  void* cookie_;
  std::uint32_t snaplen_;
  std::int32_t fraction_ns_;
  std::unique_ptr<std::uint8_t[]> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what was read and not taken yet
  int error_ = 0;
  std::array<char, 160> failure_{};
};

inline PlainRecords::Status PlainRecords::next(pcap_pkthdr& header, const std::uint8_t*& bytes) noexcept {
  if (end_ - begin_ < sizeof(Head) && !fill(sizeof(Head))) return head_is_missing();
  Head head;
  std::memcpy(&head, buffer_.get() + begin_, sizeof head);
  if (head.caplen > kMaxCaplen) return body_is_missing(head);
  const std::size_t whole = sizeof head + head.caplen;
  if (end_ - begin_ < whole && !fill(whole)) return body_is_missing(head);

  header.ts.tv_sec = head.seconds;
  header.ts.tv_usec = std::int64_t{head.fraction} * fraction_ns_;
  header.caplen = head.caplen <= snaplen_ ? head.caplen : snaplen_;
  header.len = head.len;
  bytes = buffer_.get() + begin_ + sizeof head;
  begin_ += whole;
  return Status::record;
}

}  // namespace engine
