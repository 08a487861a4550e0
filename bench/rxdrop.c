// The yardstick of every rate: a minimal AF_XDP receiver in C, one queue, that reads four bytes of each frame.
//
// libxdp's own ring helpers, 4,096 frames of 2 KiB, fill ring 4,096, RX ring 4,096, need-wakeup, batches of 64: what an
// experienced engineer writes in an afternoon. It is given every advantage: no counters, no ledger, no checks.
//
// usage: rxdrop IFACE QUEUE SECONDS spin|poll [PACKETS]    ends after so long, so many packets, or by SIGINT
// output, one JSON line: received, lost in the socket, CPU ns a packet, share of empty polls since the first packet
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include "rxdrop.skel.h"

enum { FRAMES = 4096, FRAME_BYTES = 2048, RX_ENTRIES = 4096, BATCH = 64 };

struct receiver {
  struct xsk_umem* umem;
  struct xsk_socket* socket;
  struct xsk_ring_prod fill;
  struct xsk_ring_cons completion, rx;
  unsigned char* area;
  unsigned long received, polls, empty_polls, touched;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int fail(const char* what, int error) {
  fprintf(stderr, "rxdrop: %s: %s\n", what, strerror(error));
  return 1;
}

static int open_socket(struct receiver* r, const char* interface, unsigned queue) {
  const struct xsk_umem_config umem = {.fill_size = FRAMES, .comp_size = 2048, .frame_size = FRAME_BYTES};
  const struct xsk_socket_config config = {
      .rx_size = RX_ENTRIES, .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD, .bind_flags = XDP_USE_NEED_WAKEUP};
  const size_t bytes = (size_t)FRAMES * FRAME_BYTES;
  r->area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (r->area == MAP_FAILED) return -errno;
  int error = xsk_umem__create(&r->umem, r->area, bytes, &r->fill, &r->completion, &umem);
  if (error) return error;

  unsigned index = 0;
  xsk_ring_prod__reserve(&r->fill, FRAMES, &index);
  for (unsigned i = 0; i < FRAMES; i++) *xsk_ring_prod__fill_addr(&r->fill, index + i) = (unsigned long)i * FRAME_BYTES;
  xsk_ring_prod__submit(&r->fill, FRAMES);

  const double until = seconds(CLOCK_MONOTONIC) + 1;  // a bind right after a close meets EBUSY for some 20 ms
  do {
    error = xsk_socket__create(&r->socket, interface, queue, r->umem, &r->rx, NULL, &config);
    if (error == -EBUSY) usleep(1000);
  } while (error == -EBUSY && seconds(CLOCK_MONOTONIC) < until);
  return error;
}

// One look at the ring. Returns how many frames it took.
static unsigned take(struct receiver* r) {
  unsigned rx_index, fill_index;
  const unsigned n = xsk_ring_cons__peek(&r->rx, BATCH, &rx_index);
  if (n == 0) return 0;
  while (xsk_ring_prod__reserve(&r->fill, n, &fill_index) != n) {
  }
  for (unsigned i = 0; i < n; i++) {
    const struct xdp_desc* entry = xsk_ring_cons__rx_desc(&r->rx, rx_index + i);
    unsigned word;
    memcpy(&word, r->area + entry->addr + 26, sizeof word);  // the IPv4 source
    r->touched += word;
    *xsk_ring_prod__fill_addr(&r->fill, fill_index + i) = entry->addr & ~(unsigned long)(FRAME_BYTES - 1);
  }
  xsk_ring_prod__submit(&r->fill, n);
  xsk_ring_cons__release(&r->rx, n);
  return n;
}

int main(int argc, char** argv) {
  if (argc < 5) return fprintf(stderr, "usage: rxdrop IFACE QUEUE SECONDS spin|poll [PACKETS]\n"), 2;
  const unsigned queue = (unsigned)strtoul(argv[2], NULL, 10);
  const double duration = strtod(argv[3], NULL);
  const int polling = strcmp(argv[4], "poll") == 0;
  const unsigned long limit = argc > 5 ? strtoul(argv[5], NULL, 10) : ~0ul;

  struct rxdrop_bpf* program = rxdrop_bpf__open_and_load();
  if (!program) return fail("load the program", errno);
  struct bpf_link* link = bpf_program__attach_xdp(program->progs.rxdrop, (int)if_nametoindex(argv[1]));
  if (!link) return fail("attach the program", errno);

  struct receiver r = {0};
  const int error = open_socket(&r, argv[1], queue);
  if (error) return fail("open the socket", -error);
  const int fd = xsk_socket__fd(r.socket);
  if (bpf_map_update_elem(bpf_map__fd(program->maps.sockets), &queue, &fd, 0)) return fail("set the map", errno);

  signal(SIGINT, on_interrupt);
  fprintf(stderr, "ready\n");
  struct pollfd descriptor = {.fd = fd, .events = POLLIN};
  const double end = seconds(CLOCK_MONOTONIC) + duration;
  for (unsigned idle = 0; !interrupted;) {
    const unsigned n = take(&r);
    r.received += n;
    r.polls += r.received > 0;
    if (n) {
      if (r.received >= limit) break;
      continue;
    }
    r.empty_polls += r.received > 0;
    if (polling) poll(&descriptor, 1, 10);
    if ((polling || (++idle & 0xfff) == 0) && seconds(CLOCK_MONOTONIC) > end) break;
  }

  for (unsigned n; interrupted && (n = take(&r)) > 0;) r.received += n;

  struct xdp_statistics lost = {0};
  socklen_t size = sizeof lost;
  getsockopt(fd, SOL_XDP, XDP_STATISTICS, &lost, &size);
  const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  printf(
      "{\"received\":%lu,\"rx_dropped\":%llu,\"rx_ring_full\":%llu,\"cpu_ns_per_packet\":%.1f,"
      "\"empty_polls\":%.4f,\"touched\":%lu}\n",
      r.received, (unsigned long long)lost.rx_dropped, (unsigned long long)lost.rx_ring_full,
      r.received ? cpu * 1e9 / (double)r.received : 0.0, r.polls ? (double)r.empty_polls / (double)r.polls : 0.0,
      r.touched);
  bpf_link__destroy(link);
  xsk_socket__delete(r.socket);
  xsk_umem__delete(r.umem);
  rxdrop_bpf__destroy(program);
  return 0;
}
