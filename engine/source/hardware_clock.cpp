#include "engine/source/hardware_clock.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/ptp_clock.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace engine {
namespace {

constexpr unsigned kReadings = 5;
constexpr std::int64_t kSecond_ns = 1'000'000'000;

std::int64_t ns_of(const ptp_clock_time& time) noexcept { return time.sec * kSecond_ns + time.nsec; }

}  // namespace

std::optional<HardwareClock> HardwareClock::open(std::string_view interface) {
  const UniqueFd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_ts_info info{};
  info.cmd = ETHTOOL_GET_TS_INFO;
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&info);
  if (!control.valid() || ioctl(control.get(), SIOCETHTOOL, &request) != 0 || info.phc_index < 0) return std::nullopt;
  UniqueFd device(::open(("/dev/ptp" + std::to_string(info.phc_index)).c_str(), O_RDONLY | O_CLOEXEC));
  if (!device.valid()) return std::nullopt;
  HardwareClock clock(std::move(device));
  if (!clock.to_utc_ns()) return std::nullopt;
  return clock;
}

std::optional<std::int64_t> HardwareClock::to_utc_ns() const noexcept {
  ptp_sys_offset_extended request{};
  request.n_samples = kReadings;
  if (ioctl(device_.get(), PTP_SYS_OFFSET_EXTENDED, &request) != 0) return std::nullopt;
  std::array<ClockReading, kReadings> readings;
  for (unsigned i = 0; i < kReadings; ++i)
    readings[i] = {ns_of(request.ts[i][0]), ns_of(request.ts[i][1]), ns_of(request.ts[i][2])};
  return offset_of(readings.data(), readings.size());
}

std::optional<std::int64_t> offset_of(const ClockReading* readings, std::size_t count) noexcept {
  const auto width = [](const ClockReading& reading) { return reading.after_ns - reading.before_ns; };
  const ClockReading* best = nullptr;
  for (const ClockReading* it = readings; it != readings + count; ++it)
    if (width(*it) >= 0 && (best == nullptr || width(*it) < width(*best))) best = it;
  if (best == nullptr) return std::nullopt;
  return best->before_ns + width(*best) / 2 - best->device_ns;
}

}  // namespace engine
