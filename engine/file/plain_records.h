// The records of a plain pcap file, taken apart where they were read: no call and no copy a packet, which is most of
// what libpcap costs over a file. What a file is, is libpcap's to say (CaptureFile); it hands over here behind the
// file's header. Same packets, same words on what is damaged as libpcap's pcap_next_packet() (its sf-pcap.c).
//
// Used by one thread at a time. next() and what it calls do not throw.
#pragma once

#include <pcap/pcap.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "engine/file/block_reader.h"

namespace engine {

class PlainRecords {
 public:
  enum class Status { record, end, failed };

  // Records longer than `snaplen` are cut to it. `nanoseconds`: the file's stamps have them, else microseconds.
  PlainRecords(BlockReader::Read read, void* cookie, std::uint32_t snaplen, bool nanoseconds);

  // Whether a file that begins with these bytes has records that next() reads: this machine's byte order, version 2.4.
  static bool are_in(const std::byte* head, bool& nanoseconds) noexcept;

  // `header`'s time is in nanoseconds. The bytes lie in the buffer until the next call.
  inline Status next(pcap_pkthdr& header, const std::uint8_t*& bytes) noexcept;
  BlockReader& input() noexcept { return input_; }
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

  // Has at least `bytes` in one piece from begin_ on; false at the end of the file or a failure.
  bool fill(std::size_t bytes) noexcept;
  std::size_t there() const noexcept { return static_cast<std::size_t>(end_ - begin_); }
  Status fail(const char* format, std::size_t wanted, std::size_t got) noexcept;
  Status head_is_missing() noexcept;
  Status body_is_missing(const Head& head) noexcept;

  BlockReader input_;
  std::uint32_t snaplen_;
  std::int32_t fraction_ns_;
  const std::uint8_t* begin_ = nullptr;  // what was read and not taken yet
  const std::uint8_t* end_ = nullptr;
  int error_ = 0;
  std::array<char, 160> failure_{};
};

inline PlainRecords::Status PlainRecords::next(pcap_pkthdr& header, const std::uint8_t*& bytes) noexcept {
  if (there() < sizeof(Head) && !fill(sizeof(Head))) return head_is_missing();
  Head head;
  std::memcpy(&head, begin_, sizeof head);
  if (head.caplen > kMaxCaplen) return body_is_missing(head);
  const std::size_t whole = sizeof head + head.caplen;
  if (there() < whole && !fill(whole)) return body_is_missing(head);

  header.ts.tv_sec = head.seconds;
  header.ts.tv_usec = std::int64_t{head.fraction} * fraction_ns_;
  header.caplen = head.caplen <= snaplen_ ? head.caplen : snaplen_;
  header.len = head.len;
  bytes = begin_ + sizeof head;
  begin_ += whole;
  return Status::record;
}

}  // namespace engine
