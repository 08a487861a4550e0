// What a libpcap consumer reaches on the same traffic: TPACKET_V3 with a timeout of 10 ms, its best settings for a
// rate, or immediate mode (TPACKET_V2), its best for latency. Ends by SIGINT. usage: pcaprx IFACE RING_MIB [immediate];
// output, one JSON line: received, dropped by the kernel, CPU ns a packet
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pcap_t* handle;

static void on_interrupt(int signal_number) {
  (void)signal_number;
  pcap_breakloop(handle);
}

struct counts {
  unsigned long received, touched;
};

static void on_packet(unsigned char* user, const struct pcap_pkthdr* header, const unsigned char* data) {
  struct counts* c = (struct counts*)(void*)user;
  unsigned word = 0;
  if (header->caplen >= 30) memcpy(&word, data + 26, sizeof word);
  c->touched += word;
  c->received++;
}

int main(int argc, char** argv) {
  const int immediate = argc == 4 && strcmp(argv[3], "immediate") == 0;
  if (argc != 3 && !immediate) return fprintf(stderr, "usage: pcaprx IFACE RING_MIB [immediate]\n"), 2;
  char error[PCAP_ERRBUF_SIZE];
  handle = pcap_create(argv[1], error);
  if (!handle) return fprintf(stderr, "pcaprx: %s\n", error), 1;
  pcap_set_snaplen(handle, 2048);
  pcap_set_promisc(handle, 1);
  pcap_set_timeout(handle, 10);
  pcap_set_immediate_mode(handle, immediate);
  pcap_set_buffer_size(handle, atoi(argv[2]) << 20);
  if (pcap_activate(handle) < 0) return fprintf(stderr, "pcaprx: %s\n", pcap_geterr(handle)), 1;

  // Without SA_RESTART: a wait for packets ends too.
  const struct sigaction action = {.sa_handler = on_interrupt};
  sigaction(SIGINT, &action, NULL);
  fprintf(stderr, "ready\n");
  struct counts c = {0, 0};
  pcap_loop(handle, -1, on_packet, (unsigned char*)&c);

  struct pcap_stat stats = {0};
  pcap_stats(handle, &stats);
  struct timespec cpu;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  printf("{\"received\":%lu,\"kernel_dropped\":%u,\"cpu_ns_per_packet\":%.1f,\"touched\":%lu}\n", c.received,
         stats.ps_drop, c.received ? ((double)cpu.tv_sec * 1e9 + (double)cpu.tv_nsec) / (double)c.received : 0.0,
         c.touched);
  pcap_close(handle);
  return 0;
}
