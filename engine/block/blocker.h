// engine.block() at the other end: takes the plugins' requests from the collector, changes the kernel's block list, and
// says so. Collector's thread; made on the main thread, read by it after the collector has ended.
//
// An update is a system call of about a microsecond, made here and not in a worker. It needs no capability from Linux
// 5.19 on; before, the run keeps CAP_BPF.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/root_program.h"
#include "engine/block/timed_blocks.h"
#include "engine/cli/log.h"
#include "engine/ledger.h"
#include "plugins/abi.h"

namespace engine {

// So many a second pass, so that no flood of lines comes of a flood of packets.
class PerSecond {
 public:
  explicit PerSecond(std::uint32_t limit) noexcept : limit_(limit) {}
  // Whether this one passes; then `held` is how many did not since the last one that did.
  bool pass(std::uint64_t now_ns, std::uint64_t& held) noexcept;

 private:
  std::uint32_t limit_;
  std::uint32_t passed_ = 0;
  std::uint64_t second_ = 0;
  std::uint64_t held_ = 0;
};

struct BlockerConfig {
  TimedBlocks::Kernel kernel;
  std::vector<Source> permanent;  // the operator's own
  std::vector<Source> never;
  std::vector<std::string> plugins;  // names, by index
  std::function<void(std::string_view event, std::string_view members)> tell;
  const cli::Log* log = nullptr;
};

class Blocker {
 public:
  explicit Blocker(BlockerConfig config);
  Blocker(const Blocker&) = delete;
  Blocker& operator=(const Blocker&) = delete;

  void take(std::uint8_t plugin, const engine_block& request, std::uint64_t now_ns);
  void expire(std::uint64_t now_ns);  // often

  // For plugins::Blocks: what there is no room for.
  const std::atomic<std::uint32_t>& full() const noexcept { return full_; }
  const BlockLedger& ledger() const noexcept { return ledger_; }

 private:
  std::string_view name_of(std::uint8_t plugin) const noexcept;
  void tell(std::string_view event, std::uint8_t plugin, const Source& source, const double* seconds,
            std::uint64_t now_ns);
  void warn(const std::string& text, std::uint64_t now_ns);
  void look_for_room() noexcept;

  BlockerConfig config_;
  TimedBlocks blocks_;
  BlockLedger ledger_;
  PerSecond events_;
  PerSecond warnings_;
  std::atomic<std::uint32_t> full_{0};
};

// What changes the lists of all these programs, which outlive it.
TimedBlocks::Kernel kernel_list(std::vector<bpf::RootProgram*> programs);

}  // namespace engine
