// Constants of the kernel's AF_XDP interface that Debian 12's headers (6.1) lack, guarded for newer ones.
#pragma once

#include <linux/if_xdp.h>
#include <sys/socket.h>

// A descriptor with this option is continued in the next one (kernel 6.6, commit 63a64a56bc3f "xsk: prepare 'options'
// in xdp_desc for multi-buffer use"). Set only on sockets bound with XDP_USE_SG.
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

// Bind flag: packets may take several frames (same series, commit 81470b5c3c66 "xsk: introduce XSK_USE_SG bind flag for
// xsk socket").
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif
