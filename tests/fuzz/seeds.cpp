// Writes what the fuzzers start from: seeds FOLDER makes FOLDER/decode, pcap, protocol and filter.
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/decode/capture_writer.h"
#include "tests/plugins/messages.h"

namespace {

void write(const std::filesystem::path& path, const test::Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

int main(int count, char** arguments) {
  using test::operator+;
  if (count != 2) return 2;
  const std::filesystem::path folder = arguments[1];
  for (const char* name : {"decode", "pcap", "protocol", "filter"}) std::filesystem::create_directories(folder / name);
  std::vector<test::Record> records;
  int number = 0;
  for (const test::Bytes& frame : test::sample_frames()) {
    records.push_back({1'700'000'000'000'000'000u + 400'000'000u * records.size(), frame});
    // As Ethernet, and what lies behind the header as bare IP.
    write(folder / "decode" / std::to_string(number++), test::Bytes{0} + frame);
    write(folder / "decode" / std::to_string(number++), test::Bytes{3} + test::Bytes(frame.begin() + 14, frame.end()));
  }
  number = 0;
  for (const test::Bytes& frame : test::sample_messages()) {
    // As a frame, and its payload in a packet of the fuzzer's own (42: behind UDP, 54: behind TCP).
    write(folder / "protocol" / std::to_string(number++), test::Bytes{0x80} + frame);
    const bool is_tcp = frame[23] == 6;
    write(folder / "protocol" / std::to_string(number++),
          test::Bytes{static_cast<std::uint8_t>(is_tcp ? 1 : 2)} + test::Bytes(frame.begin() + 34, frame.end()));
  }
  std::mt19937 random(1);  // bytes to choose terms by; any do
  for (number = 0; number < 64; ++number) {
    test::Bytes bytes(200);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    write(folder / "filter" / std::to_string(number), bytes);
  }
  write(folder / "pcap" / "micro", test::pcap(records));
  write(folder / "pcap" / "nano", test::pcap(records, {.nanoseconds = true}));
  write(folder / "pcap" / "big_endian", test::pcap(records, {.big_endian = true}));
  write(folder / "pcap" / "cooked", test::pcap(records, {.link_type = 113}));
  write(folder / "pcap" / "ng", test::pcapng(records));
}
