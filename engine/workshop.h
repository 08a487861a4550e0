// Where plugin states are made and thrown away while the engine runs: a thread of its own, beside the workers.
//
// It keeps a spare of each plugin for the worker whose state dies, makes a new state for every worker at a reload, and
// destroys what workers have put away. Live, no worker waits for it; on files one may, since nothing is lost meanwhile.
// States are made of the files' text as it was when they were first loaded, or at the last reload that succeeded.
#pragma once

#include <linux/filter.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/check/packets.h"
#include "engine/cli/log.h"
#include "plugins/registry.h"
#include "plugins/runtime.h"

namespace engine {

class PluginSlot;

// Decoded built-in packets that every new plugin state is warmed up with.
class WarmUpTraffic {
 public:
  WarmUpTraffic();
  plugins::Traffic view() const noexcept;
  check::Packets copy() const;

 private:
  std::vector<std::byte> memory_;
  std::vector<engine_packet> packets_;
};

// A state without a seat, and the plugin's own filter as classic BPF.
struct Prepared {
  std::unique_ptr<plugins::State> state;
  std::vector<sock_filter> filter;
  std::uint32_t version = 0;  // of the plugin: grows with each reload
  Prepared* next = nullptr;   // of those put away
};

class Workshop {
 public:
  struct Source {
    bool writes_packets = false;  // p:capture() will find a file
    bool is_live = false;         // engine.block() will find a kernel
  };
  Workshop(std::vector<plugins::PluginSpec> specs, int datalink, Source source);
  ~Workshop();
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;

  // --- set-up, main thread ------------------------------------------------------------------------------------------

  std::size_t size() const noexcept { return plugins_.size(); }
  const plugins::Registry& registry(std::size_t plugin) const noexcept { return plugins_[plugin]->registry; }
  // Throws SetupError as State does, also for a filter that is none.
  std::unique_ptr<Prepared> make(std::size_t plugin);
  void add_slot(std::size_t plugin, PluginSlot& slot) { plugins_[plugin]->slots.push_back(&slot); }
  struct Running {
    const cli::Log& log;
    std::function<void(std::string_view event, std::string_view members)> tell;  // an event's line
    bool with_spares;                                                            // before anybody needs one
    bool watch;                                                                  // a file that changes is a reload
    // The filters that some worker's state of a plugin has, in case the kernel is to know. Throws SetupError.
    std::function<void(std::size_t plugin, const std::vector<std::string>& filters)> filters_change = {};
    // A plugin's new state uses this (of engine_use). Throws SetupError if it cannot be had any more.
    std::function<void(std::uint32_t uses)> require_uses = {};
  };
  // Slots must outlive stop(). Throws SetupError.
  void start(Running running);
  void stop() noexcept;

  // --- any thread ---------------------------------------------------------------------------------------------------

  // All plugins anew, of these specifications, which are as many and in the same order.
  void reload(std::vector<plugins::PluginSpec> specs);

  // --- workers, no lock ---------------------------------------------------------------------------------------------

  // Ownership goes along. nullptr: there is none yet; from now on one is being made.
  Prepared* take_spare(std::size_t plugin) noexcept;
  // Waits until it has been tried. nullptr: it failed, somebody else was faster, or the workshop is closed.
  Prepared* wait_for_spare(std::size_t plugin) noexcept;
  void put_away(Prepared* dead) noexcept;

 private:
  struct Plugin {
    plugins::PluginSpec spec;
    plugins::Registry registry;
    std::vector<PluginSlot*> slots;
    std::atomic<Prepared*> spare{nullptr};
    std::atomic<bool> wanted{false};
    std::atomic<std::uint32_t> attempts{0};  // to make a spare: what wait_for_spare() waits on
    bool failed = false;                     // said once
    std::uint32_t version = 0;
    std::string filter;              // of the newest states
    bool has_former_filter = false;  // some worker may still have an older state, whose filter is another one
  };

  std::unique_ptr<Prepared> make_of(std::size_t plugin, const plugins::PluginSpec& spec);
  void run();
  void look_for_kept_packets();
  void watch_folders();
  void take_changes(std::vector<bool>& changed);
  void make_spares();
  void reload_asked_for();
  void reload_changed(const std::vector<bool>& changed);
  void reload_plugin(std::size_t plugin, plugins::PluginSpec spec);
  void take_new_filter(std::size_t plugin, const Prepared& fresh);
  bool forget_former_filters();
  void require_same_ground(const Plugin& plugin, const Prepared& fresh) const;
  void destroy_put_away() noexcept;
  void ring() noexcept;

  std::vector<std::unique_ptr<Plugin>> plugins_;
  int datalink_;
  Source source_;
  WarmUpTraffic traffic_;
  std::optional<Running> running_;
  UniqueFd bell_;
  UniqueFd inotify_;
  std::vector<int> watches_;  // by plugin: its folder's
  std::atomic<bool> closed_{false};
  std::atomic<Prepared*> put_away_{nullptr};
  std::mutex reload_mutex_;
  std::vector<plugins::PluginSpec> reload_specs_;  // empty: nothing asked for
  std::thread thread_;
};

}  // namespace engine
