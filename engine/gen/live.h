// Live XDP frames: the kernel makes packets out of a template and a BPF program, one call for many packets, without a
// copy from user space. The fastest way there is, for one kind and one size, on the queue that the CPU leads to.
//
// Needs kernel 5.18 and a driver that can transmit redirected frames; on veth the peer also needs an XDP program or
// GRO, else it has no queue to take them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/gen/sender.h"
#include "engine/gen/traffic.h"

struct gen_bpf;

namespace engine::gen {

class LiveSender final : public Sender {
 public:
  // Why this traffic cannot be sent as live frames, in words; empty if it can.
  static std::string obstacle(const Traffic& traffic);

  // Takes the sequence from its start. `queue` is where the frames are expected to arrive, for the report. Throws
  // SetupError.
  LiveSender(const Traffic& traffic, unsigned ifindex, const std::string& interface_name, std::uint64_t seed,
             std::uint32_t queue);
  ~LiveSender() override;

  std::uint64_t send(std::uint64_t max) noexcept override;
  std::string failure() const override;
  void finish(Report& report) override;

 private:
  struct Closer {
    void operator()(gen_bpf* skeleton) const noexcept;
  };
  void load(const Traffic& traffic, std::uint64_t seed, const std::string& interface_name);

  std::unique_ptr<gen_bpf, Closer> skeleton_;
  FrameTemplate frame_;
  unsigned ifindex_;
  std::string interface_name_;
  std::uint32_t queue_;
  std::uint64_t chunk_;  // packets a call, so that it lasts about a tenth of a second
  int error_ = 0;
};

}  // namespace engine::gen
