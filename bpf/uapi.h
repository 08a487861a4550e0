// Constants of bpf(2) that Debian 12's headers (6.1) lack, guarded for newer ones.
#pragma once

#include <linux/bpf.h>

// The program runs on one device only and may ask it for what it knows about a frame (kernel 6.3, commit 2b3486bc2d23
// "bpf: Introduce device-bound XDP programs").
#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1U << 6)
#endif
