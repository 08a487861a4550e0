#include "engine/cli/expand.h"

#include <algorithm>

#include "engine/base/error.h"

namespace engine::cli {
namespace {

// Links of links, so deep at most: a bond of VLAN devices on a bond is possible, an endless chain is not our problem.
constexpr int max_depth = 8;

bool has_members(const HostLink& link) { return link.kind == "bond" || link.kind == "team"; }

std::string vlan_note(const HostLink& vlan) {
  const std::string id = std::to_string(vlan.vlan_id);
  return "carries " + vlan.name + " (VLAN " + id + "), and its other traffic is captured too; --filter 'vlan " + id +
         "' takes this one";
}

class Expansion {
 public:
  Expansion(const HostNetwork& network, bool tap) : network_(network), tap_(tap) {}

  void add(const InterfaceSetting& named) {
    const HostLink* const link = find_link(network_, named.name);
    if (link == nullptr) {
      put({named, {}});
    } else {
      descend(*link, {{link->name, named.queues}, {}}, max_depth);
    }
  }

  std::vector<CapturedDevice> take() { return std::move(devices_); }

 private:
  void descend(const HostLink& link, CapturedDevice device, int depth) {
    device.device.name = link.name;
    const HostLink* const parent = link.parent == 0 ? nullptr : find_link(network_, link.parent);
    if (tap_ || depth == 0) return put(std::move(device));
    if (link.kind == "vlan" && parent != nullptr) {
      append(device.note, vlan_note(link));
      return descend(*parent, std::move(device), depth - 1);
    }
    if (!has_members(link)) return put(std::move(device));
    append(device.note, "member of " + link.name);
    bool any = false;
    for (const HostLink& member : network_.links) {
      if (member.master != link.index) continue;
      any = true;
      descend(member, device, depth - 1);
    }
    if (any) return;
    throw SetupError(ExitCode::machine_cannot, "interface " + link.name,
                     "is a " + link.kind + " without members, and receives nothing itself",
                     "add one: ip link set DEVICE master " + link.name);
  }

  static void append(std::string& note, const std::string& more) { note += (note.empty() ? "" : "; ") + more; }

  void put(CapturedDevice added) {
    const auto same = [&](const CapturedDevice& known) { return known.device.name == added.device.name; };
    const auto known = std::find_if(devices_.begin(), devices_.end(), same);
    if (known == devices_.end()) return devices_.push_back(std::move(added));
    merge(known->device, added);
  }

  // Twice the same device, which may be meant as two lists of its queues.
  static void merge(InterfaceSetting& known, const CapturedDevice& added) {
    const std::string why = added.note.empty() ? "" : " (" + added.note + ")";
    if (known.queues.empty() || added.device.queues.empty())
      throw SetupError(ExitCode::bad_usage, "--iface", "takes " + known.name + " twice" + why, "name it once");
    for (const std::uint32_t queue : added.device.queues) {
      if (std::ranges::find(known.queues, queue) != known.queues.end())
        throw SetupError(ExitCode::bad_usage, "--iface",
                         "takes queue " + std::to_string(queue) + " of " + known.name + " twice" + why, "name it once");
    }
    known.queues.insert(known.queues.end(), added.device.queues.begin(), added.device.queues.end());
    std::ranges::sort(known.queues);
  }

  const HostNetwork& network_;
  bool tap_;
  std::vector<CapturedDevice> devices_;
};

}  // namespace

std::vector<CapturedDevice> expand(const HostNetwork& network, std::span<const InterfaceSetting> named, bool tap) {
  Expansion expansion(network, tap);
  for (const InterfaceSetting& one : named) expansion.add(one);
  return expansion.take();
}

}  // namespace engine::cli
