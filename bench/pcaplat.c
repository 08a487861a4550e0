// How long stamped packets of `engine gen` take from the wire to a libpcap callback: as `engine bench latency` measures
// it, from the stamp in the packet to a look at the clock. Buffered (TPACKET_V3) with a timeout of 10 ms, as
// bench/pcaprx (without a timeout a block waits until it is full, with tcpdump's it waits up to a second), or in
// immediate mode (TPACKET_V2). usage: pcaplat IFACE PACKETS SKIP buffered|immediate; ends when the packet numbered
// PACKETS - 1 has come, or by SIGINT. Output, one JSON line: how many were measured (all but the first SKIP by their
// number), percentiles in ns.
#include <endian.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pcap_t* handle;

static void on_interrupt(int signal_number) {
  (void)signal_number;
  pcap_breakloop(handle);
}

struct latencies {
  uint64_t packets, skip, measured;
  int64_t* ns;
};

// Untagged UDP over IPv4: the stamp lies behind 42 bytes of headers.
enum { kIpAt = 14, kDestinationAt = 30, kStampAt = 42, kStamped = 58 };

static void on_packet(unsigned char* user, const struct pcap_pkthdr* header, const unsigned char* data) {
  struct latencies* l = (struct latencies*)(void*)user;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  static const unsigned char destination[] = {198, 18, 0, 1};
  if (header->caplen < kStamped || data[12] != 8 || data[13] != 0 || data[kIpAt] != 0x45 || data[kIpAt + 9] != 17 ||
      memcmp(data + kDestinationAt, destination, sizeof destination) != 0)
    return;
  uint64_t number, sent;
  memcpy(&number, data + kStampAt, sizeof number);
  memcpy(&sent, data + kStampAt + 8, sizeof sent);
  number = be64toh(number);
  if (number >= l->skip && l->measured < l->packets)
    l->ns[l->measured++] = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)be64toh(sent);
  if (number + 1 >= l->packets) pcap_breakloop(handle);
}

static int by_size(const void* a, const void* b) {
  const int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return (x > y) - (x < y);
}

// The value of that rank.
static long long percentile(const struct latencies* l, double share) {
  uint64_t rank = (uint64_t)(share * (double)l->measured);
  if ((double)rank < share * (double)l->measured) ++rank;
  return l->measured == 0 ? 0 : (long long)l->ns[rank == 0 ? 0 : rank - 1];
}

int main(int argc, char** argv) {
  const int immediate = argc == 5 && strcmp(argv[4], "immediate") == 0;
  if (argc != 5 || (!immediate && strcmp(argv[4], "buffered") != 0))
    return fprintf(stderr, "usage: pcaplat IFACE PACKETS SKIP buffered|immediate\n"), 2;
  struct latencies l = {strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), 0, NULL};
  l.ns = malloc((l.packets + 1) * sizeof *l.ns);
  if (!l.ns) return fprintf(stderr, "pcaplat: out of memory\n"), 1;
  char error[PCAP_ERRBUF_SIZE];
  handle = pcap_create(argv[1], error);
  if (!handle) return fprintf(stderr, "pcaplat: %s\n", error), 1;
  pcap_set_snaplen(handle, 2048);
  pcap_set_promisc(handle, 1);
  pcap_set_timeout(handle, 10);
  pcap_set_immediate_mode(handle, immediate);
  if (pcap_activate(handle) < 0) return fprintf(stderr, "pcaplat: %s\n", pcap_geterr(handle)), 1;

  // Without SA_RESTART: a wait for packets ends too.
  const struct sigaction action = {.sa_handler = on_interrupt};
  sigaction(SIGINT, &action, NULL);
  fprintf(stderr, "ready\n");
  pcap_loop(handle, -1, on_packet, (unsigned char*)&l);

  qsort(l.ns, l.measured, sizeof *l.ns, by_size);
  printf(
      "{\"measured\":%llu,\"latency_p50_ns\":%lld,\"latency_p90_ns\":%lld,\"latency_p99_ns\":%lld,"
      "\"latency_p99_9_ns\":%lld,\"latency_p99_99_ns\":%lld,\"latency_max_ns\":%lld}\n",
      (unsigned long long)l.measured, percentile(&l, 0.5), percentile(&l, 0.9), percentile(&l, 0.99),
      percentile(&l, 0.999), percentile(&l, 0.9999), percentile(&l, 1));
  pcap_close(handle);
  free(l.ns);
  return 0;
}
