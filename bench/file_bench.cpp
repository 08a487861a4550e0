// Reading a capture file: CaptureFile (which can be interrupted and tells before it waits) against libpcap alone.
//
// run: file_bench [--benchmark_filter=...], or bench/micro --filter file for the ratios. 100,000 packets of 60 to 1,500
// bytes, a temporary pcap file in the page cache. filter: "udp port 53", by libpcap's interpreter on both sides.
#include <benchmark/benchmark.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>

#include "engine/file/capture_file.h"

namespace {

constexpr std::uint32_t kPackets = 100'000;
constexpr const char* kFilter = "udp port 53";

struct Close {
  void operator()(pcap_t* handle) const noexcept { pcap_close(handle); }
  void operator()(pcap_dumper_t* file) const noexcept { pcap_dump_close(file); }
};
using Pcap = std::unique_ptr<pcap_t, Close>;

// UDP over IPv4, one of four to port 53.
class File {
 public:
  File() {
    const int fd = mkstemp(path_.data());
    if (fd < 0) throw std::runtime_error("cannot make " + path_);
    close(fd);
    const Pcap kind(pcap_open_dead(DLT_EN10MB, 65535));
    const std::unique_ptr<pcap_dumper_t, Close> file(pcap_dump_open(kind.get(), path_.c_str()));
    if (!file) throw std::runtime_error("cannot write " + path_);
    std::mt19937 random(5);
    std::array<std::uint8_t, 1500> frame = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45};
    frame[23] = 17;
    for (std::uint32_t i = 0; i < kPackets; ++i) {
      frame[36] = 0;
      frame[37] = random() % 4 == 0 ? 53 : 80;
      const std::uint32_t bytes = i % 3 == 0 ? 1500 : 60 + static_cast<std::uint32_t>(random()) % 64;
      const pcap_pkthdr header{
          .ts = {.tv_sec = 1'700'000'000 + i / 1000, .tv_usec = i % 1000}, .caplen = bytes, .len = bytes};
      pcap_dump(reinterpret_cast<std::uint8_t*>(file.get()), &header, frame.data());
    }
  }
  ~File() { unlink(path_.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_ = "/tmp/engine_file_bench_XXXXXX";
};

void finish(benchmark::State& state, std::uint64_t packets, std::uint64_t bytes) {
  if (packets != static_cast<std::uint64_t>(state.iterations()) * kPackets) state.SkipWithError("packets are missing");
  state.SetItemsProcessed(static_cast<std::int64_t>(packets));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

void engine_reads(benchmark::State& state, bool filter) {
  const File file;
  std::uint64_t packets = 0, bytes = 0, matched = 0;
  for (auto _ : state) {
    engine::CaptureFile capture(file.path(), -1);
    if (filter) capture.set_filter(kFilter);
    for (engine::CapturedPacket packet; capture.next(packet); ++packets) {
      if (filter) matched += capture.matches(packet);
      bytes += packet.header->caplen;
    }
  }
  benchmark::DoNotOptimize(matched);
  finish(state, packets, bytes);
}

void libpcap_reads(benchmark::State& state, bool filter) {
  const File file;
  std::uint64_t packets = 0, bytes = 0, matched = 0;
  std::array<char, PCAP_ERRBUF_SIZE> words{};
  for (auto _ : state) {
    const Pcap capture(
        pcap_open_offline_with_tstamp_precision(file.path().c_str(), PCAP_TSTAMP_PRECISION_NANO, words.data()));
    bpf_program program = {};
    if (!capture || (filter && pcap_compile(capture.get(), &program, kFilter, 1, PCAP_NETMASK_UNKNOWN) != 0))
      return state.SkipWithError("cannot be read");
    pcap_pkthdr* header = nullptr;
    const std::uint8_t* frame = nullptr;
    for (; pcap_next_ex(capture.get(), &header, &frame) == 1; ++packets) {
      if (filter) matched += pcap_offline_filter(&program, header, frame) != 0;
      bytes += header->caplen;
    }
    pcap_freecode(&program);
  }
  benchmark::DoNotOptimize(matched);
  finish(state, packets, bytes);
}

BENCHMARK_CAPTURE(engine_reads, all, false)->Name("file/read/engine");
BENCHMARK_CAPTURE(libpcap_reads, all, false)->Name("file/read/libpcap");
BENCHMARK_CAPTURE(engine_reads, some, true)->Name("file/filter/engine");
BENCHMARK_CAPTURE(libpcap_reads, some, true)->Name("file/filter/libpcap");

}  // namespace

BENCHMARK_MAIN();
