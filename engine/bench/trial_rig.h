// A generator and a receiver on two interfaces of this machine, and runs of the one against the other: what was sent
// is compared with what came, by count.
//
// Main thread. The generator is `engine gen`'s own, on a thread that may be in another network namespace.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/bench/receiver.h"
#include "engine/bench/search.h"
#include "engine/gen/gen.h"
#include "engine/gen/interrupts.h"

namespace engine::bench {

struct GeneratorConfig {
  gen::Settings gen;  // interface, method, sizes, flows
  std::string netns;  // name as of `ip netns` or path; empty: this one
  std::string cpu;    // empty: any but the receiver's
};

// Options --gen-iface, --gen-netns, --gen-cpu, --method, --flows.
std::vector<cli::Option> generator_options(GeneratorConfig& config);
void require_generator(std::string_view command, const GeneratorConfig& config);

// Sends from the generator's namespace and core, until it is done. Throws SetupError, also where it fails half way.
gen::Report send_from(const GeneratorConfig& generator, const gen::Settings& settings);

// Who receives: all its workers together, so far.
struct Receiving {
  std::function<WorkerSample()> total;
  std::string interface;
  std::string remedy;  // where others' packets come too
};
Receiving receiving(Receiver& receiver);  // which outlives it

class TrialRig {
 public:
  // To be made before the receiver is started. The generator outlives it.
  TrialRig(Receiving receiving, const GeneratorConfig& generator);

  // Sends and waits until all has come, or nothing more does. Throws SetupError, also where packets of another
  // generator come. `interrupted` from then on, if a signal ended it.
  Trial run(double rate_pps, double duration_s, std::uint16_t frame_bytes);

  bool interrupted() const noexcept { return interrupted_; }
  const gen::Report& sent() const noexcept { return sent_; }           // of the last run
  const WorkerSample& received() const noexcept { return received_; }  // in it

 private:
  Receiving receiving_;
  const GeneratorConfig& generator_;
  gen::Interrupts interrupts_;  // blocks the signals in all threads that are made from here on
  gen::Report sent_;
  WorkerSample received_;
  bool interrupted_ = false;
};

}  // namespace engine::bench
