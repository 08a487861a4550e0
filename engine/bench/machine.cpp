#include "engine/bench/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "engine/thread_meter.h"
#include "numa/topology.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace engine::bench {
namespace {

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line) || line.empty()) return std::nullopt;
  return line;
}

// "model name : X" of x86; other architectures name parts by number, or nothing.
std::string cpu_model(const std::string& path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with("model name") || colon == line.npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    if (begin != line.npos) return line.substr(begin);
  }
  return "unknown";
}

// The hypervisor's signature, if there is one (Intel SDM: CPUID.1:ECX[31] is left to hypervisors, which put their name
// into leaf 0x40000000).
std::optional<std::string> hypervisor(const std::string& root) {
#if defined(__x86_64__) || defined(__i386__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (root.empty() && __get_cpuid(1, &a, &b, &c, &d) != 0) {
    if ((c >> 31) == 0) return std::nullopt;
    __cpuid(0x40000000, a, b, c, d);
    char signature[13] = {};
    std::memcpy(signature, &b, 4);
    std::memcpy(signature + 4, &c, 4);
    std::memcpy(signature + 8, &d, 4);
    static constexpr std::pair<std::string_view, const char*> names[] = {{"KVMKVMKVM", "kvm"},
                                                                         {"Microsoft Hv", "hyperv"},
                                                                         {"VMwareVMware", "vmware"},
                                                                         {"XenVMMXenVMM", "xen"},
                                                                         {"TCGTCGTCGTCG", "qemu"}};
    for (const auto& [text, name] : names)
      if (text == signature) return name;
    return signature[0] != '\0' ? std::string(signature) : "unknown";
  }
#endif
  return first_line(root + "/sys/hypervisor/type");
}

// One word where all cores agree, else all that there are.
std::optional<std::string> governor(const std::filesystem::path& cpus) {
  std::set<std::string> all;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(cpus, error))
    if (const auto one = first_line(entry.path() / "cpufreq/scaling_governor")) all.insert(*one);
  std::string text;
  for (const std::string& one : all) text += (text.empty() ? "" : ",") + one;
  return text.empty() ? std::nullopt : std::optional(text);
}

std::vector<std::pair<std::string, std::string>> mitigations(const std::string& folder) {
  std::vector<std::pair<std::string, std::string>> all;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    all.emplace_back(entry.path().filename(), first_line(entry.path()).value_or("unknown"));
  std::ranges::sort(all);
  return all;
}

void read_cores(const std::filesystem::path& cpus, Machine& machine) {
  std::set<std::string> cores;  // each by the list of its threads
  std::uint32_t threads = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(cpus, error)) {
    const auto siblings = first_line(entry.path() / "topology/thread_siblings_list");
    if (!siblings) continue;
    cores.insert(*siblings);
    ++threads;
  }
  if (cores.empty()) {
    machine.cores = static_cast<std::uint32_t>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));
    return;
  }
  machine.cores = static_cast<std::uint32_t>(cores.size());
  machine.threads_per_core = threads / machine.cores;
}

std::string mebibytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

Machine read_machine(const std::string& root) {
  Machine machine;
  machine.cpu = cpu_model(root + "/proc/cpuinfo");
  read_cores(root + "/sys/devices/system/cpu", machine);
  machine.numa_nodes = numa::read_topology().nodes;
  machine.memory_bytes =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  utsname name{};
  machine.kernel = uname(&name) == 0 ? name.release : "unknown";
  machine.hypervisor = hypervisor(root);
  machine.governor = governor(root + "/sys/devices/system/cpu");
  machine.mitigations = mitigations(root + "/sys/devices/system/cpu/vulnerabilities");
  machine.counters = CycleCounter().works();
  return machine;
}

std::string to_text(const Machine& machine) {
  std::string text = machine.cpu + ", " + std::to_string(machine.cores) + (machine.cores == 1 ? " core" : " cores");
  if (machine.threads_per_core > 1) text += " of " + std::to_string(machine.threads_per_core) + " threads";
  if (machine.numa_nodes > 1) text += ", " + std::to_string(machine.numa_nodes) + " NUMA nodes";
  text += ", " + mebibytes(machine.memory_bytes) + "; Linux " + machine.kernel;
  if (machine.hypervisor) text += " under " + *machine.hypervisor;
  text += "\ngovernor: " + machine.governor.value_or("not to be seen") +
          "; cycle counters: " + (machine.counters ? "yes" : "no") + "\n";
  std::string affected;
  for (const auto& [name, state] : machine.mitigations)
    if (state != "Not affected") affected += (affected.empty() ? "" : "; ") + name + ": " + state;
  return text + "mitigations: " + (affected.empty() ? "none" : affected) + "\n";
}

void add_machine(JsonWriter& json, const Machine& machine) {
  json.begin_object("machine");
  json.text("cpu", machine.cpu);
  json.unsigned_number("cores", machine.cores);
  json.unsigned_number("threads_per_core", machine.threads_per_core);
  json.unsigned_number("numa_nodes", machine.numa_nodes);
  json.unsigned_number("memory_bytes", machine.memory_bytes);
  json.text("kernel", machine.kernel);
  machine.hypervisor ? json.text("hypervisor", *machine.hypervisor) : json.null("hypervisor");
  machine.governor ? json.text("governor", *machine.governor) : json.null("governor");
  json.begin_object("mitigations");
  for (const auto& [name, state] : machine.mitigations) json.text(name, state);
  json.end_object();
  json.boolean("counters", machine.counters);
  json.end_object();
}

}  // namespace engine::bench
