#include "engine/cli/protect.h"

#include <algorithm>
#include <vector>

#include "engine/base/error.h"

namespace engine::cli {
namespace {

const std::string* direct_reason(const HostNetwork& network, unsigned index) {
  for (const HostDependence& it : network.dependences) {
    if (it.link == index) return &it.why;
  }
  return nullptr;
}

// Everything that receives through `index`: it and what lies above it, nearest first.
std::vector<unsigned> upwards(const HostNetwork& network, unsigned index) {
  std::vector<unsigned> reached{index};
  const auto add = [&](unsigned link) {
    if (link != 0 && std::find(reached.begin(), reached.end(), link) == reached.end()) reached.push_back(link);
  };
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const HostLink* const link = find_link(network, reached[i]);
    if (link != nullptr) add(link->master);
    for (const HostLink& upper : network.links) {
      if (upper.parent == reached[i]) add(upper.index);
    }
  }
  return reached;
}

}  // namespace

std::optional<std::string> why_protected(const HostNetwork& network, std::string_view interface) {
  const HostLink* const it = find_link(network, interface);
  // A connection over loopback is between processes of this machine, and its end does not lock anyone out.
  if (it == nullptr || it->loopback) return std::nullopt;
  for (const unsigned index : upwards(network, it->index)) {
    const std::string* const why = direct_reason(network, index);
    if (why == nullptr) continue;
    if (index == it->index) return *why;
    const HostLink* const upper = find_link(network, index);
    return "lies below " + (upper != nullptr ? upper->name : "link " + std::to_string(index)) + ", which " + *why;
  }
  return std::nullopt;
}

std::optional<std::string> why_protected(std::string_view interface) {
  return why_protected(read_host_network(), interface);
}

bool has_consent(const Settings& settings) {
  return settings.take_all || !settings.filter.empty() || !settings.filter_path.empty();
}

}  // namespace engine::cli
