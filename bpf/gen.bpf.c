// The generator's program: makes each live frame a packet of its own and sends it back out (XDP_TX).
//
// BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES (net/bpf/test_run.c) copies the template into a page once and then
// recycles pages with what was last written there. So every field that varies is written in every packet, and its
// checksums are folded from sums of the template: nothing depends on what a page held before. A run stays on one CPU
// and user space touches `state` between runs only, so plain global data will do.
#include <linux/bpf.h>
// libbpf's helpers need linux/bpf.h first.
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "gen_abi.h"

const volatile struct gen_live_config config;
struct gen_live_state state;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);  // user space sets the number of flows, or does not create the map at all
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct gen_alias_cell);
} alias SEC(".maps");

static __always_inline __u64 mix64(__u64 n) {  // as in engine/gen/flows.h
  __u64 z = n * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

static __always_inline __u32 pick_flow(__u64 n) {
  if (config.flows == 1) return 0;
  if (!config.zipf) {
    const __u32 flow = state.flow;
    state.flow = flow + 1 < config.flows ? flow + 1 : 0;
    return flow;
  }
  const __u64 bits = mix64(config.seed + n);
  const __u32 column = ((bits >> 32) * config.flows) >> 32;
  const struct gen_alias_cell* cell = bpf_map_lookup_elem(&alias, &column);
  if (!cell) return 0;  // never: column < flows, the map's size
  return (__u32)bits < cell->threshold ? column : cell->alias;
}

static __always_inline __u16 fold(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline __u64 sum64(__u64 word) {
  // Two 32-bit halves: end-around carries make the fold of their sum the same as that of four 16-bit words.
  return (word & 0xffffffff) + (word >> 32);
}

static __always_inline __u32 port_index(__u32 flow) {
  if (config.flows <= GEN_PORTS) return flow;
  asm volatile("" : "+r"(flow));  // else the compiler divides for every packet, whatever the branch
  return flow % GEN_PORTS;
}

static long is_due(__u32 unused, __u64* due_ns) {
  (void)unused;
  state.last_ns = bpf_ktime_get_ns();
  return state.last_ns >= *due_ns;  // 1 ends the loop
}

// The clock is read once a batch: here a paced run waits for the moment at which the batch falls due. It spins, so user
// space keeps batches below 100 us; the bound is there for the verifier and is longer than that.
static __always_inline void begin_batch(__u64 n) {
  state.next_look = n + state.batch;
  __u64 due_ns = 0;
  if (state.pace_interval)
    due_ns = state.pace_start_ns + (((n - state.pace_first) * state.pace_interval) >> GEN_PACE_SHIFT);
  bpf_loop(1 << 15, is_due, &due_ns, 0);
  state.stamp = bpf_cpu_to_be64(state.last_ns + state.clock_offset_ns);
}

SEC("xdp") int gen(struct xdp_md* ctx) {
  __u8* frame = (void*)(long)ctx->data;
  if (frame + config.layout.frame_bytes > (__u8*)(long)ctx->data_end) return XDP_ABORTED;
  const __u64 n = state.packets++;
  if (n == state.next_look) begin_batch(n);
  const __u32 flow = pick_flow(n);

  const __u32 address = bpf_htonl(config.layout.first_address + flow);
  const __u16 port = bpf_htons(GEN_FIRST_PORT + port_index(flow));
  *(__u32*)(frame + config.layout.address_off) = address;
  *(__u16*)(frame + config.layout.port_off) = port;
  __u64 sum = (__u64)config.layout.transport_sum + port;
  if (config.layout.covers_address) sum += address;
  if (config.layout.serial_off) {
    const __u16 serial = bpf_htons((__u16)n);
    *(__u16*)(frame + config.layout.serial_off) = serial;
    sum += serial;
  }
  if (config.layout.stamp_off) {
    const __u64 sequence = bpf_cpu_to_be64(n), stamp = state.stamp;
    __u64* place = (__u64*)(frame + config.layout.stamp_off);  // not aligned, but memcpy would store byte by byte
    place[0] = sequence;
    place[1] = stamp;
    sum += sum64(sequence) + sum64(stamp);
  }
  __u16 check = fold(sum);
  if (config.layout.zero_is_ffff && check == 0) check = 0xffff;
  *(__u16*)(frame + config.layout.transport_check_off) = check;
  if (config.layout.ip_check_off)
    *(__u16*)(frame + config.layout.ip_check_off) = fold((__u64)config.layout.ip_sum + address);
  return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
