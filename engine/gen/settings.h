// What `engine gen` was asked for, and the table of its options.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/cli/options.h"
#include "engine/gen/pacer.h"
#include "engine/gen/spec.h"
#include "xsk/mode.h"

namespace engine::gen {

enum class Method { automatic, live, tx };

// How AF_XDP sockets are bound, and after how many packets the kernel is told. What one system call sends in copy mode
// is 32 (TX_BATCH_SIZE in net/xdp/xsk.c): more only wait in the ring.
struct TxTuning {
  xsk::RequestedMode mode = xsk::RequestedMode::automatic;
  std::uint32_t batch = 32;
};

struct Settings {
  std::string interface_name;
  std::string write_path;
  Method method = Method::automatic;
  TxTuning tx;  // `engine bench tx` varies it
  std::vector<std::uint32_t> queues{0};
  double rate_pps = 0;
  std::uint64_t count = 0;
  double duration_s = 0;
  TrafficSpec traffic;
  std::string replay_path;
  std::uint64_t loops = 1;
  bool json = false;
  bool help = false;

  Load load() const noexcept { return {rate_pps, count, static_cast<std::uint64_t>(duration_s * 1e9)}; }
};

// "4": queues 0 to 3. "1-3" or "0,2": just those. Throws cli::BadValue.
std::vector<std::uint32_t> parse_queues(std::string_view text);

cli::OptionTable option_table(Settings& settings);

// Throws SetupError, also where options that are right by themselves do not go together.
Settings parse_settings(std::span<char* const> args);

std::string help_text();

}  // namespace engine::gen
