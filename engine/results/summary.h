// What the engine tells without any plugin: packets and bytes, protocols, the top sources and ports of each second.
//
// A structure like a plugin's (plugins/structure.h): one Summary per worker, filled by the worker's thread, its parts
// merged by the collector.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "plugins/abi.h"
#include "plugins/distinct.h"
#include "plugins/structure.h"
#include "plugins/topk.h"

namespace engine {

class SummaryPart final : public plugins::Part {
 public:
  static constexpr std::uint32_t kTop = 10;

  explicit SummaryPart(bool reproducible = false);  // see plugins::Distinct

  void add(const engine_packet& packet) noexcept;

  void merge(const plugins::Part& other) override;
  void clear() noexcept override;
  void publish(plugins::Visitor& visitor) const override;
  bool empty() const noexcept override { return packets_ == 0; }
  std::unique_ptr<plugins::Part> make_empty() const override { return std::make_unique<SummaryPart>(reproducible_); }
  std::string shape() const override { return "summary"; }

  std::uint64_t packets() const noexcept { return packets_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  // By the packets' symmetric hash, so both directions are one flow, whichever workers saw them; within 2 %.
  std::uint64_t flows_active() const noexcept { return static_cast<std::uint64_t>(flows_.estimate() + 0.5); }
  // The lists alone: protocols, top_sources, top_ports.
  void publish_lists(plugins::Visitor& visitor) const;

 private:
  struct Sum {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
  };
  // An IP protocol's number; behind them what is no IP.
  static constexpr std::size_t kArp = 256, kOther = 257, kRows = 258;

  std::uint64_t packets_ = 0;
  std::uint64_t bytes_ = 0;
  std::array<Sum, kRows> protocols_{};
  plugins::TopK sources_;
  plugins::TopK ports_;
  bool reproducible_;
  plugins::Distinct flows_;
  engine_packet port_{};  // carries a port row's key to ports_
};

class Summary {
 public:
  explicit Summary(bool reproducible = false);
  void add(const engine_packet* packets, std::uint32_t n) noexcept;
  plugins::Structure& structure() noexcept { return structure_; }

 private:
  plugins::Structure structure_;
};

// tcp, udp, icmp, …; "other" for what has no name here.
std::string_view protocol_name(unsigned protocol) noexcept;

}  // namespace engine
