// A root program that loses exactly one frame of one queue when told to: for tests that the ledger shows it.
#pragma once

#include <cstdint>

#include "bpf/root_program.h"
#include "tests/bpf/lossy_abi.h"

namespace bpf_test {

class Lossy {
 public:
  // No block list, no filter. Frames pass unharmed until lose_one().
  Lossy(std::uint32_t queues, std::uint32_t lose_queue, lose_at where);

  // The descriptors of program and maps, for bpf::RootProgram. To be taken once.
  bpf::RootFds take_fds() { return std::move(fds_); }

  void lose_one();        // the next frame of the queue is lost
  bool has_lost() const;  // it was

 private:
  bpf::RootFds fds_;
  engine::UniqueFd data_;
};

}  // namespace bpf_test
