#include "engine/workshop.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "bpf/filter.h"
#include "engine/base/error.h"
#include "engine/check/measure.h"
#include "engine/decode/decode.h"
#include "engine/gen/traffic.h"
#include "engine/plugin_slot.h"
#include "engine/results/json.h"
#include "plugins/native.h"

namespace engine {
namespace {

constexpr std::size_t kWarmUpPackets = 4096;
// Editors write a file in several steps: so long after the last of them it is read.
constexpr int kSettle_ms = 100;
// How often is looked whether the workers have taken what they were offered.
constexpr int kLook_ms = 50;

}  // namespace

WarmUpTraffic::WarmUpTraffic() : packets_(kWarmUpPackets) {
  gen::FrameSet frames = gen::builtin_frames(kWarmUpPackets);
  memory_ = std::move(frames.memory);
  decode_batch(
      kWarmUpPackets, reinterpret_cast<const std::uint8_t*>(memory_.data()),
      [&](std::uint32_t i) {
        return FrameSpan{frames.offsets[i], frames.lengths[i]};
      },
      packets_.data());
}

plugins::Traffic WarmUpTraffic::view() const noexcept {
  return {packets_, reinterpret_cast<const std::uint8_t*>(memory_.data())};
}

Workshop::Workshop(std::vector<plugins::PluginSpec> specs, int datalink, Source source)
    : datalink_(datalink), source_(source) {
  for (plugins::PluginSpec& spec : specs) {
    plugins_.push_back(std::make_unique<Plugin>());
    plugins_.back()->spec = std::move(spec);
    plugins_.back()->spec.sources = std::make_shared<plugins::Sources>();
  }
}

Workshop::~Workshop() {
  stop();
  destroy_put_away();
  for (const auto& plugin : plugins_) delete plugin->spare.load(std::memory_order_acquire);
}

check::Packets WarmUpTraffic::copy() const {
  check::Packets copy;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(memory_.data());
  copy.frames.assign(bytes, bytes + memory_.size());
  copy.packets = packets_;
  copy.datalink = bpf::filter_ethernet;
  return copy;
}

std::unique_ptr<Prepared> Workshop::make(std::size_t plugin) {
  auto prepared = make_of(plugin, plugins_[plugin]->spec);
  plugins_[plugin]->filter = prepared->state->filter();
  return prepared;
}

std::unique_ptr<Prepared> Workshop::make_of(std::size_t plugin, const plugins::PluginSpec& spec) {
  plugins::Binding binding;
  binding.registry = &plugins_[plugin]->registry;
  binding.plugin_index = static_cast<std::uint8_t>(plugin);
  binding.writes_packets = source_.writes_packets;
  binding.has_kernel = source_.is_live;
  binding.traffic = traffic_.view();
  auto prepared = std::make_unique<Prepared>();
  prepared->version = plugins_[plugin]->version;
  prepared->state = std::make_unique<plugins::State>(spec, binding);
  if (const std::string& filter = prepared->state->filter(); !filter.empty())
    prepared->filter = bpf::compile_filter(filter, bpf::filter_snaplen_bytes, datalink_);
  return prepared;
}

void Workshop::start(Running running) {
  running_.emplace(std::move(running));
  bell_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell_.valid()) throw SetupError(ExitCode::runtime_failure, "create an eventfd", std::strerror(errno));
  if (running_->watch) watch_folders();
  for (const auto& plugin : plugins_) plugin->wanted = running_->with_spares;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw SetupError(ExitCode::runtime_failure, "start the workshop's thread", error.what(), "see ulimit -u");
  }
}

void Workshop::stop() noexcept {
  closed_.store(true, std::memory_order_release);
  for (const auto& plugin : plugins_) {
    plugin->attempts.fetch_add(1, std::memory_order_release);
    plugin->attempts.notify_all();
  }
  ring();
  if (thread_.joinable()) thread_.join();
}

// The folders, not the files: editors replace files, and modules lie beside them.
void Workshop::watch_folders() {
  inotify_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_.valid()) throw SetupError(ExitCode::runtime_failure, "--watch", std::strerror(errno));
  for (const auto& plugin : plugins_) {
    watches_.push_back(-1);
    if (plugin->spec.path.empty()) continue;  // --eval
    std::filesystem::path folder = std::filesystem::path(plugin->spec.path).parent_path();
    if (folder.empty()) folder = ".";
    watches_.back() = inotify_add_watch(inotify_.get(), folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO);
    if (watches_.back() < 0)
      throw SetupError(ExitCode::runtime_failure, "--watch " + folder.string(), std::strerror(errno),
                       "see fs.inotify.max_user_watches");
  }
}

void Workshop::reload(std::vector<plugins::PluginSpec> specs) {
  {
    const std::lock_guard lock(reload_mutex_);
    reload_specs_ = std::move(specs);
  }
  ring();
}

Prepared* Workshop::take_spare(std::size_t plugin) noexcept {
  Plugin& wanted = *plugins_[plugin];
  Prepared* spare = wanted.spare.exchange(nullptr, std::memory_order_acquire);  // pairs with make_spares()
  if (!wanted.wanted.exchange(true, std::memory_order_relaxed)) ring();
  return spare;
}

Prepared* Workshop::wait_for_spare(std::size_t plugin) noexcept {
  Plugin& wanted = *plugins_[plugin];
  const std::uint32_t attempts = wanted.attempts.load(std::memory_order_acquire);
  if (Prepared* spare = take_spare(plugin)) return spare;
  if (closed_.load(std::memory_order_acquire)) return nullptr;
  wanted.attempts.wait(attempts, std::memory_order_acquire);
  return wanted.spare.exchange(nullptr, std::memory_order_acquire);
}

void Workshop::put_away(Prepared* dead) noexcept {
  dead->next = put_away_.load(std::memory_order_relaxed);
  while (!put_away_.compare_exchange_weak(dead->next, dead, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

void Workshop::destroy_put_away() noexcept {
  Prepared* list = put_away_.exchange(nullptr, std::memory_order_acquire);  // pairs with put_away()
  while (list != nullptr) {
    const std::unique_ptr<Prepared> dead(list);
    list = dead->next;
  }
}

void Workshop::ring() noexcept {
  if (bell_.valid()) eventfd_write(bell_.get(), 1);
}

void Workshop::run() {
  pthread_setname_np(pthread_self(), "workshop");
  std::vector<bool> changed(plugins_.size());
  int timeout_ms = -1;
  if (running_->with_spares) look_for_kept_packets();
  while (!closed_.load(std::memory_order_acquire)) {
    make_spares();
    destroy_put_away();
    const bool settled = forget_former_filters();
    pollfd waits[] = {{bell_.get(), POLLIN, 0}, {inotify_.valid() ? inotify_.get() : -1, POLLIN, 0}};
    const int ready = poll(waits, 2, settled || timeout_ms >= 0 ? timeout_ms : kLook_ms);
    eventfd_t count = 0;
    if (waits[0].revents != 0) eventfd_read(bell_.get(), &count);
    reload_asked_for();
    if (waits[1].revents != 0) {
      take_changes(changed);
      timeout_ms = kSettle_ms;
    } else if (ready == 0 && timeout_ms >= 0) {
      reload_changed(changed);
      changed.assign(plugins_.size(), false);
      timeout_ms = -1;
    }
  }
}

// A mistake that shows in no error: the packet's place is another packet's by the time the plugin reads it.
void Workshop::look_for_kept_packets() {
  const check::Packets packets = traffic_.copy();
  for (const auto& plugin : plugins_) {
    try {
      for (const std::string& line : check::kept_packets(plugin->spec, packets, traffic_.view()))
        running_->log.warn("plugin " + plugin->spec.name + ": " + line);
    } catch (const SetupError&) {
      // It loaded before: what fails now is told where it matters, when a spare is made.
    }
  }
}

void Workshop::take_changes(std::vector<bool>& changed) {
  alignas(inotify_event) char buffer[4096];
  for (;;) {
    const ssize_t size = read(inotify_.get(), buffer, sizeof buffer);
    if (size <= 0) return;
    for (ssize_t at = 0; at < size;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof event);
      const std::string_view name(event.len != 0 ? buffer + at + sizeof event : "");
      for (std::size_t i = 0; i < watches_.size(); ++i)
        if (watches_[i] == event.wd && name.ends_with(".lua")) changed[i] = true;
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
}

void Workshop::make_spares() {
  for (std::size_t i = 0; i < plugins_.size(); ++i) {
    Plugin& plugin = *plugins_[i];
    if (!plugin.wanted.exchange(false, std::memory_order_relaxed)) continue;
    if (plugin.spare.load(std::memory_order_relaxed) == nullptr) {
      try {
        // release: whoever takes it sees it whole.
        plugin.spare.store(make(i).release(), std::memory_order_release);
        plugin.failed = false;
      } catch (const SetupError& error) {
        if (!std::exchange(plugin.failed, true)) running_->log.error(std::string("no spare: ") + error.what());
      }
    }
    plugin.attempts.fetch_add(1, std::memory_order_release);
    plugin.attempts.notify_all();
  }
}

void Workshop::reload_asked_for() {
  std::vector<plugins::PluginSpec> specs;
  {
    const std::lock_guard lock(reload_mutex_);
    specs.swap(reload_specs_);
  }
  for (std::size_t i = 0; i < specs.size(); ++i) reload_plugin(i, std::move(specs[i]));
}

void Workshop::reload_changed(const std::vector<bool>& changed) {
  for (std::size_t i = 0; i < changed.size(); ++i)
    if (changed[i]) reload_plugin(i, plugins_[i]->spec);
}

// A new state for every worker, or none: on an error all keep theirs.
void Workshop::reload_plugin(std::size_t number, plugins::PluginSpec spec) {
  Plugin& plugin = *plugins_[number];
  spec.sources = std::make_shared<plugins::Sources>();
  std::vector<std::unique_ptr<Prepared>> fresh;
  try {
    for (std::size_t i = 0; i <= plugin.slots.size(); ++i) {  // and one spare
      fresh.push_back(make_of(number, spec));
      require_same_ground(plugin, *fresh.back());
    }
    if (running_->require_uses) running_->require_uses(fresh.front()->state->uses());
    take_new_filter(number, *fresh.front());
  } catch (const SetupError& error) {
    running_->log.error(std::string("not reloaded, the old one stays: ") + error.what());
    std::string members;
    JsonWriter json(members);
    json.text("plugin", plugin.spec.name);
    json.text("reason", error.what());
    return running_->tell("plugin_reload_failed", members);
  }
  plugin.spec = std::move(spec);
  plugin.failed = false;
  ++plugin.version;
  for (const auto& state : fresh) state->version = plugin.version;
  delete plugin.spare.exchange(fresh.back().release(), std::memory_order_acq_rel);
  for (std::size_t i = 0; i < plugin.slots.size(); ++i) plugin.slots[i]->offer(fresh[i].release());
  running_->log.info("plugin " + plugin.spec.name + ": reloaded");
}

// Before any worker has the new state: it must not miss what the kernel does not hand over yet.
void Workshop::take_new_filter(std::size_t number, const Prepared& fresh) {
  Plugin& plugin = *plugins_[number];
  const std::string& filter = fresh.state->filter();
  if (!running_->filters_change || filter == plugin.filter) return;
  running_->filters_change(number, {plugin.filter, filter});
  plugin.filter = filter;
  plugin.has_former_filter = true;
}

// Once every worker has the newest state. False: some have not, and nothing will tell when they do.
bool Workshop::forget_former_filters() {
  bool settled = true;
  for (std::size_t i = 0; i < plugins_.size(); ++i) {
    Plugin& plugin = *plugins_[i];
    if (!plugin.has_former_filter) continue;
    const auto is_newest = [&plugin](const PluginSlot* slot) { return slot->version() == plugin.version; };
    if (std::ranges::all_of(plugin.slots, is_newest)) {
      plugin.has_former_filter = false;
      try {
        running_->filters_change(i, {plugin.filter});
      } catch (const SetupError& error) {  // the kernel hands over more than is needed
        running_->log.warn(error.what());
      }
    } else {
      settled = false;
    }
  }
  return settled;
}

// What the run was set up with and no reload can change.
void Workshop::require_same_ground(const Plugin& plugin, const Prepared& fresh) const {
  if (plugin.slots.empty() || fresh.state->interval_ns() == plugin.slots.front()->interval_ns()) return;
  throw SetupError(ExitCode::bad_usage, "plugin " + plugin.spec.name, "its interval is another one than before",
                   "stop and start again to change it");
}

}  // namespace engine
