#include "engine/source/strategy.h"

#include <utility>

#include "engine/cli/expand.h"
#include "engine/cli/host_network.h"
#include "engine/cli/protect.h"
#include "engine/source/tap_port.h"
#include "engine/source/xdp_port.h"

namespace engine {
namespace {

class Opener {
 public:
  Opener(const cli::Settings& settings, const cli::Log& log, CaptureRequest request)
      : settings_(settings), log_(log), request_(std::move(request)), network_(cli::read_host_network()) {}

  std::vector<std::unique_ptr<Port>> open() {
    if (settings_.mode == xsk::RequestedMode::afpacket) {
      for (const auto& captured : cli::expand(network_, settings_.interfaces, true)) tap(captured.device);
      return std::move(ports_);
    }
    for (const auto& captured : cli::expand(network_, settings_.interfaces, false)) {
      if (!captured.note.empty()) log_.info("captures " + captured.device.name + ": " + captured.note);
      open(captured.device);
    }
    return std::move(ports_);
  }

 private:
  void open(const cli::InterfaceSetting& device) {
    if (!cli::has_consent(settings_)) {
      const auto why = cli::why_protected(network_, device.name);
      if (why) return tap_protected(device, *why);
    }
    try {
      open_xdp(device);
    } catch (const SetupError& error) {
      const bool falls_back = settings_.mode == xsk::RequestedMode::automatic && error.another_way_may_do();
      if (!falls_back || lack_of_tap(settings_)) throw;
      log_.warn(std::string(error.what()) + ": " + device.name + " is tapped by AF_PACKET instead");
      tap(device);
    }
  }

  void tap_protected(const cli::InterfaceSetting& device, const std::string& why) {
    const std::string reason = why + ", and AF_XDP would take its packets away from this machine";
    const std::string remedy = "say what to take with --filter EXPR, or give --take-all";
    const std::optional<TapLack> needs = lack_of_tap(settings_);
    if (settings_.mode != xsk::RequestedMode::automatic || needs)
      throw SetupError(ExitCode::machine_cannot, "interface " + device.name,
                       needs ? reason + "; " + needs->what + " needs AF_XDP" : reason, remedy);
    log_.warn("interface " + device.name + " " + reason + ": it is tapped by AF_PACKET; " + remedy);
    tap(device);
  }

  void open_xdp(const cli::InterfaceSetting& device) {
    XdpPortConfig config;
    config.interface = device.name;
    config.queues = device.queues;
    config.queue_count = settings_.queues;
    config.add_stages = request_.add_stages;
    config.filter = request_.filter;
    config.program = std::exchange(request_.program, std::nullopt);
    ports_.push_back(std::make_unique<XdpPort>(std::move(config), settings_, log_));
  }

  void tap(const cli::InterfaceSetting& device) {
    ports_.push_back(
        std::make_unique<TapPort>(device, request_.filter.value_or(bpf::FilterExpression()), settings_, log_));
  }

  const cli::Settings& settings_;
  const cli::Log& log_;
  CaptureRequest request_;
  cli::HostNetwork network_;
  std::vector<std::unique_ptr<Port>> ports_;
};

}  // namespace

std::vector<std::unique_ptr<Port>> open_ports(const cli::Settings& settings, const cli::Log& log,
                                              CaptureRequest request) {
  return Opener(settings, log, std::move(request)).open();
}

}  // namespace engine
