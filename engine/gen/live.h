// Live XDP frames: the kernel makes packets out of a template and a BPF program, one call for many packets, without a
// copy from user space. The fastest way there is, for one kind and one size, on the queue that the CPU leads to.
//
// The kernel takes some 24 ms to end a call (it waits for readers of the page pool), so a run is one call, ended early
// by CallLimit; a rate is kept inside the call, by the program, which spins.
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
  static constexpr double slowest_pps = 10'000;  // of a paced run

  // Why this traffic cannot be sent as live frames, in words; empty if it can.
  static std::string obstacle(const Traffic& traffic, double rate_pps);

  // Takes the sequence from its start. `queue` is where the frames are expected to arrive, for the report. Throws
  // SetupError.
  LiveSender(const Traffic& traffic, unsigned ifindex, const std::string& interface_name, std::uint64_t seed,
             std::uint32_t queue);
  ~LiveSender() override;

  void run(const Load& load, Interrupts& interrupts, Report& report) override;
  std::string failure() const override;

 private:
  struct Closer {
    void operator()(gen_bpf* skeleton) const noexcept;
  };
  void set_pace(const Pacer& pacer, std::uint64_t count);
  int make(std::uint64_t count);
  void load(const Traffic& traffic, std::uint64_t seed, const std::string& interface_name);

  std::unique_ptr<gen_bpf, Closer> skeleton_;
  FrameTemplate frame_;
  unsigned ifindex_;
  std::string interface_name_;
  std::uint32_t queue_;
  std::uint32_t frames_per_batch_ = 1;
  int error_ = 0;
};

}  // namespace engine::gen
