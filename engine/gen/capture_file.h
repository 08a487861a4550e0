// Capture files: packets to be replayed are read whole into memory before the first is sent, and traffic can be
// written to a file instead of being sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct pcap;
struct pcap_dumper;

namespace engine::gen {

struct Replay {
  std::vector<std::byte> memory;
  struct Frame {
    std::size_t offset;
    std::uint32_t length;
    std::uint32_t flow_hash;  // of the conversation, both directions alike; 0 where it is not IP
  };
  std::vector<Frame> frames;
  std::string damage;            // why the file ended early, in libpcap's words; empty if it did not
  std::uint64_t unsendable = 0;  // cut off by the capture's snap length, or too long or short for a frame: left out
  std::size_t longest_bytes = 0;

  std::span<const std::byte> bytes(const Frame& frame) const noexcept {
    return std::span(memory).subspan(frame.offset, frame.length);
  }
};

// Throws SetupError where there is nothing to replay. Frames above `longest_bytes` are left out and counted.
Replay read_replay(const std::string& path, std::size_t longest_bytes);

// A pcap file with nanosecond time stamps. Throws SetupError where it cannot be written; also from close(), which
// tells whether everything reached the file.
class CaptureWriter {
 public:
  explicit CaptureWriter(const std::string& path);

  void write(std::uint64_t time_ns, std::span<const std::byte> frame) noexcept;
  void close();

 private:
  struct Closer {
    void operator()(pcap* handle) const noexcept;
    void operator()(pcap_dumper* dumper) const noexcept;
  };
  [[noreturn]] void fail(const std::string& reason) const;

  std::string path_;
  std::unique_ptr<pcap, Closer> handle_;  // outlives the dumper
  std::unique_ptr<pcap_dumper, Closer> dumper_;
};

}  // namespace engine::gen
