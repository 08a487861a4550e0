// Capture files for the tests, written by hand: pcap in both byte orders and resolutions, and pcapng.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/decode/frames.h"

namespace test {

struct Record {
  std::uint64_t time_ns;
  Bytes frame;
  std::uint32_t len = 0;  // on the wire; 0: as captured
};

inline void append(Bytes& out, std::uint32_t value, int bytes, bool big_endian) {
  for (int i = 0; i < bytes; ++i)
    out.push_back(static_cast<std::uint8_t>(value >> 8 * (big_endian ? bytes - 1 - i : i)));
}

struct PcapFormat {
  bool nanoseconds = false;
  bool big_endian = false;
  std::uint32_t link_type = 1;  // LINKTYPE_ETHERNET
  std::uint32_t snaplen = 262144;
};

// The pcap format (draft-ietf-opsawg-pcap).
inline Bytes pcap(const std::vector<Record>& records, PcapFormat format = {}) {
  Bytes out;
  const auto put = [&](std::uint32_t value, int bytes = 4) { append(out, value, bytes, format.big_endian); };
  put(format.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
  put(2, 2);
  put(4, 2);
  put(0);
  put(0);
  put(format.snaplen);
  put(format.link_type);
  for (const Record& record : records) {
    put(static_cast<std::uint32_t>(record.time_ns / 1000000000));
    put(static_cast<std::uint32_t>(record.time_ns % 1000000000 / (format.nanoseconds ? 1 : 1000)));
    put(static_cast<std::uint32_t>(record.frame.size()));
    put(record.len != 0 ? record.len : static_cast<std::uint32_t>(record.frame.size()));
    out = std::move(out) + record.frame;
  }
  return out;
}

// A pcapng section with one interface of 1 ns resolution (draft-ietf-opsawg-pcapng).
inline Bytes pcapng(const std::vector<Record>& records) {
  Bytes out;
  const auto put = [&](std::uint32_t value, int bytes = 4) { append(out, value, bytes, false); };
  for (const std::uint32_t word : {0x0a0d0d0au, 28u, 0x1a2b3c4du, 1u, 0xffffffffu, 0xffffffffu, 28u}) put(word);
  for (const std::uint32_t word : {1u, 32u, 1u, 262144u}) put(word);
  put(9, 2);  // if_tsresol
  put(1, 2);
  put(9);
  put(0);  // end of options
  put(32);
  for (const Record& record : records) {
    const auto size = static_cast<std::uint32_t>(record.frame.size());
    const std::uint32_t total = 32 + (size + 3) / 4 * 4;
    put(6);
    put(total);
    put(0);
    put(static_cast<std::uint32_t>(record.time_ns >> 32));
    put(static_cast<std::uint32_t>(record.time_ns));
    put(size);
    put(record.len != 0 ? record.len : size);
    out = std::move(out) + record.frame + filled((4 - size % 4) % 4, 0);
    put(total);
  }
  return out;
}

// A file that goes when the test does.
class TemporaryFile {
 public:
  explicit TemporaryFile(const Bytes& content) {
    static int count = 0;
    const char* folder = std::getenv("TMPDIR");
    name_ = std::string(folder != nullptr ? folder : "/tmp") + "/capture." + std::to_string(::getpid()) + "." +
            std::to_string(count++);
    std::ofstream(name_, std::ios::binary)
        .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::remove(name_.c_str()); }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

}  // namespace test
