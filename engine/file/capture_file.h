// A capture file (pcap or pcapng, any link type) as a stream of packets, through libpcap; what is most common, pcap in
// this machine's byte order with a link type that we decode, is taken apart here (plain_records.h).
//
// The bytes come through a FILE of our own, so that reading from a pipe can be ended from outside, and so that whoever
// reads learns when it is about to wait for more input. Used by one thread at a time: the main thread opens, the
// reader thread goes on. interrupt() may be called by any thread.
#pragma once

#include <linux/filter.h>
#include <pcap/pcap.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/decode/decode.h"
#include "engine/file/plain_records.h"

namespace engine {

// One packet as it lies in the reader's buffer: valid until the next one is read.
struct CapturedPacket {
  const pcap_pkthdr* header = nullptr;
  const std::uint8_t* bytes = nullptr;
  std::int64_t seconds = 0;  // the time stamp as the file has it, which may be any nonsense
  std::int64_t nanoseconds = 0;
};

class CaptureFile {
 public:
  // `path`: a file's name or "-" for standard input. `interrupt_fd`: input ends when it becomes readable; -1: none.
  // Throws SetupError(bad_usage) for a file that cannot be opened or is no capture.
  CaptureFile(const std::string& path, int interrupt_fd);
  CaptureFile(const CaptureFile&) = delete;
  CaptureFile& operator=(const CaptureFile&) = delete;
  ~CaptureFile() { interrupt(); }  // who reads ahead is waited for

  // What matches() tells from then on: the same as live (bpf/filter.h). Throws SetupError(bad_usage).
  void set_filter(const std::string& expression);
  bool matches(const CapturedPacket& packet) const noexcept;

  // False at the end, or where the file cannot be read any further: then failure() says why.
  inline bool next(CapturedPacket& packet) noexcept;
  const std::string& failure() const noexcept { return failure_; }

  LinkType link() const noexcept { return link_; }
  int datalink() const noexcept { return pcap_datalink(handle_.get()); }
  // The same as capture files say it: the numbers differ where systems' DLT_ values do.
  std::uint16_t file_link_type() const;
  const std::string& name() const noexcept { return name_; }

  // Called by the reading thread before it asks the system for more input.
  void before_input(std::function<void()> callback);
  // From here on another thread reads ahead, where that helps: of what we take apart ourselves. By the reading thread.
  void read_ahead() noexcept;
  void interrupt() noexcept;

 private:
  struct Close {
    void operator()(pcap_t* handle) const noexcept { pcap_close(handle); }
  };
  struct Input {
    UniqueFd file;
    UniqueFd interrupt;
    int outside_interrupt_fd = -1;
    std::atomic<bool> interrupted{false};
    std::function<void()> before_input;
    std::unique_ptr<char[]> buffer;
    // The file's first bytes, which we look at before libpcap gets them.
    std::array<std::byte, sizeof(pcap_file_header)> head{};
    std::size_t head_bytes = 0;  // that were read
    std::size_t head_given = 0;  // of these, to libpcap
  };
  bool next_by_libpcap(CapturedPacket& packet) noexcept;
  bool end_plain(PlainRecords::Status status) noexcept;
  static ssize_t read_input(void* cookie, char* buffer, std::size_t bytes);
  static ssize_t read_file(void* cookie, char* buffer, std::size_t bytes);
  void open_input(const std::string& path);
  void read_head();

  std::string name_;
  std::unique_ptr<Input> input_;  // its address is the FILE's cookie: outlives handle_, which owns the FILE
  std::unique_ptr<pcap_t, Close> handle_;
  std::optional<PlainRecords> plain_;
  pcap_pkthdr plain_header_{};
  std::vector<sock_filter> filter_;  // empty: none
  LinkType link_ = LinkType::other;
  std::string failure_;
};

inline bool CaptureFile::next(CapturedPacket& packet) noexcept {
  if (!plain_) return next_by_libpcap(packet);
  const PlainRecords::Status status = plain_->next(plain_header_, packet.bytes);
  if (status != PlainRecords::Status::record) return end_plain(status);
  packet.header = &plain_header_;
  packet.seconds = plain_header_.ts.tv_sec;
  packet.nanoseconds = plain_header_.ts.tv_usec;
  return true;
}

}  // namespace engine
