// Capture files through libpcap: pcap and pcapng in, pcap with nanoseconds out.
#include "engine/gen/capture_file.h"

#include <pcap/pcap.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/base/error.h"
#include "engine/decode/decode.h"

namespace engine::gen {
namespace {

constexpr std::size_t shortest_bytes = 14;  // an Ethernet header

void append(Replay& replay, const pcap_pkthdr& header, const u_char* data, std::size_t longest_bytes) {
  if (header.caplen != header.len || header.len < shortest_bytes || header.len > longest_bytes) {
    ++replay.unsendable;
    return;
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  engine_packet decoded;
  decode_frame(data, header.caplen, decoded);
  replay.frames.push_back({replay.memory.size(), header.caplen, decoded.hash});
  replay.memory.insert(replay.memory.end(), bytes, bytes + header.caplen);
  replay.longest_bytes = std::max<std::size_t>(replay.longest_bytes, header.caplen);
}

}  // namespace

Replay read_replay(const std::string& path, std::size_t longest_bytes) {
  char error[PCAP_ERRBUF_SIZE] = {};
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> file(pcap_open_offline(path.c_str(), error), &pcap_close);
  if (!file) throw SetupError(ExitCode::bad_usage, "replay " + path, error);
  if (pcap_datalink(file.get()) != DLT_EN10MB)
    throw SetupError(ExitCode::bad_usage, "replay " + path,
                     std::string("its packets are not Ethernet frames but ") +
                         pcap_datalink_val_to_description_or_dlt(pcap_datalink(file.get())));
  Replay replay;
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  int outcome = 0;
  while ((outcome = pcap_next_ex(file.get(), &header, &data)) == 1) append(replay, *header, data, longest_bytes);
  if (outcome == PCAP_ERROR) replay.damage = pcap_geterr(file.get());
  if (replay.frames.empty())
    throw SetupError(replay.damage.empty() ? ExitCode::bad_usage : ExitCode::runtime_failure, "replay " + path,
                     replay.damage.empty() ? "it has no whole packet of 14 to " + std::to_string(longest_bytes) +
                                                 " bytes (" + std::to_string(replay.unsendable) + " others)"
                                           : replay.damage);
  return replay;
}

void CaptureWriter::Closer::operator()(pcap* handle) const noexcept { pcap_close(handle); }
void CaptureWriter::Closer::operator()(pcap_dumper* dumper) const noexcept { pcap_dump_close(dumper); }

CaptureWriter::CaptureWriter(const std::string& path)
    : path_(path), handle_(pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO)) {
  if (!handle_) fail(std::strerror(ENOMEM));
  dumper_.reset(pcap_dump_open(handle_.get(), path.c_str()));
  if (!dumper_) fail(pcap_geterr(handle_.get()));
}

void CaptureWriter::fail(const std::string& reason) const {
  throw SetupError(ExitCode::runtime_failure, "write " + path_, reason);
}

void CaptureWriter::write(std::uint64_t time_ns, std::span<const std::byte> frame) noexcept {
  pcap_pkthdr header{};
  header.ts.tv_sec = static_cast<time_t>(time_ns / 1'000'000'000);
  header.ts.tv_usec = static_cast<suseconds_t>(time_ns % 1'000'000'000);  // nanoseconds at this precision
  header.caplen = header.len = static_cast<bpf_u_int32>(frame.size());
  pcap_dump(reinterpret_cast<u_char*>(dumper_.get()), &header, reinterpret_cast<const u_char*>(frame.data()));
}

void CaptureWriter::close() {
  // pcap_dump() reports nothing: an error shows in the stream, at the latest when it is flushed.
  const bool flushed = pcap_dump_flush(dumper_.get()) == 0 && std::ferror(pcap_dump_file(dumper_.get())) == 0;
  const int reason = errno;
  dumper_.reset();
  if (!flushed) fail(std::strerror(reason));
}

}  // namespace engine::gen
