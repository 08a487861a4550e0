// `engine gen --write`: the packets that would be sent, in a capture file, at the times at which they would fall due.
#include <optional>

#include "engine/gen/capture_file.h"
#include "engine/gen/gen.h"
#include "engine/gen/interrupts.h"
#include "engine/gen/traffic.h"

namespace engine::gen {
namespace {

// Files are the same whenever they are written: their time begins at a round number (14 November 2023).
constexpr std::uint64_t file_start_ns = 1'700'000'000'000'000'000;
constexpr double file_rate_pps = 1e6;

}  // namespace

Outcome write_file(const Settings& settings) {
  Outcome outcome;
  Report& report = outcome.report;
  report.target = settings.write_path;
  report.method = "file";
  Load load = settings.load();
  if (load.rate_pps <= 0) load.rate_pps = file_rate_pps;
  std::optional<Replay> replay;
  if (!settings.replay_path.empty()) {
    replay = open_replay(settings, max_frame_bytes, load, outcome);
  }
  Traffic traffic(settings.traffic);
  if (!replay) report.notes = traffic.notes();
  const Pacer pacer(load, file_start_ns);
  CaptureWriter file(settings.write_path);
  Interrupts interrupts;
  std::vector<std::byte> frame(traffic.longest_bytes());
  for (std::uint64_t n = 0; n < pacer.limit() && !report.interrupted; ++n) {
    const std::uint64_t time_ns = pacer.time_of(n);
    std::span<const std::byte> bytes;
    if (replay) {
      bytes = replay->bytes(replay->frames[n % replay->frames.size()]);
      report.replayed += {1, bytes.size()};
    } else {
      Packet packet = traffic.next();
      packet.write(time_ns, frame.data());
      bytes = std::span(frame).first(packet.size_bytes());
      report.kinds[static_cast<std::size_t>(packet.kind())] += {1, bytes.size()};
      report.stamped += packet.frame->stamped();
    }
    file.write(time_ns, bytes);
    report.total += {1, bytes.size()};
    if (n % 1024 == 0) report.interrupted = interrupts.arrived(0);
  }
  file.close();
  report.seconds = static_cast<double>(pacer.time_of(report.total.packets) - file_start_ns) * 1e-9;
  return outcome;
}

}  // namespace engine::gen
