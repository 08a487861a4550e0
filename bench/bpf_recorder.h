// The bare system calls behind a load of libbpf's: recorded once, then made again without libbpf.
//
// libbpf calls bpf(2) through libc's syscall(), which bpf_recorder.cpp stands in front of for the program that links
// it. What is recorded is what a load needs: type information, maps, their first values, programs; not libbpf's
// questions to the kernel what it can do. One thread.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

namespace bench {

double thread_cpu_ns() noexcept;

class BpfRecording {
 public:
  // Calls from here to stop() are recorded.
  void start();
  void stop();

  // Makes them again, each with the descriptors that its forerunners gave this time, and closes those. Returns the CPU
  // time up to the last call, without the closing; negative if a call failed.
  double replay_ns();
  std::size_t calls() const noexcept { return calls_.size(); }

  // Called by the stand-in after each bpf(2).
  void note(int command, const bpf_attr& attributes, int result);

 private:
  struct MapReference {
    std::size_t instruction;
    int fd;
  };
  struct Call {
    int command;
    bpf_attr attributes;
    int result;
    std::vector<MapReference> references;
  };
  std::uint64_t keep(std::uint64_t pointer, std::size_t bytes);
  void keep_program(Call& call);
  bpf_attr with_descriptors(const Call& call) const;

  std::vector<Call> calls_;
  std::deque<std::vector<std::byte>> memory_;                         // what recorded pointers lead to; never moves
  std::map<int, int> descriptors_;                                    // as recorded -> as given this time
  std::map<int, std::pair<std::uint32_t, std::uint32_t>> map_sizes_;  // key and value
};

}  // namespace bench
