// Waits until no CPU runs what it ran before: a program that was taken off a link may be in the middle of a frame.
#pragma once

namespace bpf {

// Some tens of milliseconds. Needs CAP_BPF. Throws SetupError.
void wait_for_running_programs();

}  // namespace bpf
