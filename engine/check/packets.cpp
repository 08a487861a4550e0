#include "engine/check/packets.h"

#include <algorithm>

#include "engine/decode/decode.h"
#include "engine/file/capture_file.h"

namespace engine::check {
namespace {

constexpr std::size_t kMostPackets = 65536;
constexpr std::size_t kMost_bytes = 64u << 20;
constexpr std::int64_t kLastSecond = 9'000'000'000;  // the ns of later ones do not fit 63 bits
constexpr std::uint8_t kFromFile = 1;                // engine_packet._ts_source

}  // namespace

Packets read_packets(const std::string& path) {
  CaptureFile file(path, -1);
  Packets result;
  result.datalink = file.datalink();
  std::vector<FrameSpan> spans;
  std::vector<std::uint64_t> times_ns;
  for (CapturedPacket packet; spans.size() < kMostPackets && result.frames.size() < kMost_bytes && file.next(packet);) {
    spans.push_back({result.frames.size(), packet.header->caplen, packet.header->len, file.link()});
    // A stamp that goes back or that no clock shows is clamped, as in FileSource.
    const bool is_time = packet.seconds >= 0 && packet.seconds < kLastSecond;
    const std::uint64_t at_ns = is_time ? static_cast<std::uint64_t>(packet.seconds) * 1'000'000'000 +
                                              static_cast<std::uint64_t>(packet.nanoseconds)
                                        : 0;
    times_ns.push_back(std::max(at_ns, times_ns.empty() ? 0 : times_ns.back()));
    result.frames.insert(result.frames.end(), packet.bytes, packet.bytes + packet.header->caplen);
  }
  result.packets.resize(spans.size());
  decode_batch(
      static_cast<std::uint32_t>(spans.size()), result.frames.data(), [&](std::uint32_t i) { return spans[i]; },
      result.packets.data());
  if (!times_ns.empty()) result.epoch_ns = times_ns.front();
  for (std::size_t i = 0; i < spans.size(); ++i) {
    result.packets[i].time = static_cast<double>(times_ns[i] - result.epoch_ns);
    result.packets[i]._place = static_cast<double>(i + 1);
    result.packets[i]._ts_source = kFromFile;
  }
  return result;
}

}  // namespace engine::check
