#include "tests/bpf/filter_rig.h"

#include <bpf/bpf.h>
#include <linux/if_ether.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <stdexcept>

#include "bpf/ebpf_writer.h"
#include "bpf/options.h"

namespace bpf_test {
namespace {

constexpr std::uint32_t match_verdict = XDP_TX, no_match_verdict = XDP_DROP;
constexpr std::uint32_t nothing_ran = 77;
constexpr std::uint32_t match_slot = 0, no_match_slot = 1, filter_slot = 2;

void check(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + strerror(errno));
}

engine::UniqueFd program_array() {
  engine::UniqueFd fd(bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "test_slots", 4, 4, 3, nullptr));
  check(fd.valid(), "create a program array");
  return fd;
}

std::vector<bpf_insn> returns(std::uint32_t verdict) {
  bpf::EbpfWriter out;
  out.set32(BPF_REG_0, verdict);
  out.exit();
  return out.take();
}

void call_filter(bpf::EbpfWriter& out, int slots_fd) {
  out.move(BPF_REG_1, BPF_REG_6);
  out.set_map(BPF_REG_2, slots_fd);
  out.set32(BPF_REG_3, filter_slot);
  out.call(BPF_FUNC_tail_call);
  out.set32(BPF_REG_0, nothing_ran);
  out.exit();
}

void load_ends(bpf::EbpfWriter& out) {
  out.move(BPF_REG_6, BPF_REG_1);
  out.load(BPF_W, BPF_REG_2, BPF_REG_6, offsetof(xdp_md, data));
  out.load(BPF_W, BPF_REG_3, BPF_REG_6, offsetof(xdp_md, data_end));
}

std::vector<bpf_insn> splits(int slots_fd) {
  bpf::EbpfWriter out;
  const auto fail = out.label();
  load_ends(out);
  out.move(BPF_REG_4, BPF_REG_2);
  out.add(BPF_REG_4, 4);
  out.jump(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_4, BPF_REG_3, 0, fail);
  out.load(BPF_W, BPF_REG_2, BPF_REG_2, 0);
  out.move(BPF_REG_1, BPF_REG_6);
  out.call(BPF_FUNC_xdp_adjust_head);
  out.jump(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 0, fail);
  call_filter(out, slots_fd);
  out.place(fail);
  out.set32(BPF_REG_0, nothing_ran);
  out.exit();
  check(out.resolve(), "jumps");
  return out.take();
}

std::vector<bpf_insn> tells_linear_bytes() {
  bpf::EbpfWriter out;
  load_ends(out);
  out.move(BPF_REG_0, BPF_REG_3);
  out.emit(BPF_ALU64 | BPF_SUB | BPF_X, BPF_REG_0, BPF_REG_2);
  out.exit();
  return out.take();
}

// cb[0] is the frame's type, cb[1] and cb[2] the tag beside it: its type, 0 for none, and its number.
std::vector<bpf_insn> completes(int slots_fd) {
  bpf::EbpfWriter out;
  const auto done = out.label();
  const auto load_cb = [&](std::uint8_t dst, int cell) {
    out.load(BPF_W, dst, BPF_REG_6, static_cast<std::int16_t>(offsetof(__sk_buff, cb) + 4 * cell));
  };
  out.move(BPF_REG_6, BPF_REG_1);
  load_cb(BPF_REG_2, 0);
  out.store(BPF_H, BPF_REG_10, -8, BPF_REG_2);
  out.set32(BPF_REG_2, 12);
  out.move(BPF_REG_3, BPF_REG_10);
  out.add(BPF_REG_3, -8);
  out.set32(BPF_REG_4, 2);
  out.set32(BPF_REG_5, 0);
  out.call(BPF_FUNC_skb_store_bytes);
  load_cb(BPF_REG_2, 1);
  out.jump(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_2, 0, 0, done);
  load_cb(BPF_REG_3, 2);
  out.move(BPF_REG_1, BPF_REG_6);
  out.call(BPF_FUNC_skb_vlan_push);
  out.place(done);
  call_filter(out, slots_fd);
  check(out.resolve(), "jumps");
  return out.take();
}

std::uint32_t run(int program_fd, std::span<const std::uint8_t> frame, const __sk_buff* context = nullptr) {
  bpf::Options<bpf_test_run_opts> options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.ctx_in = context;
  options.ctx_size_in = context != nullptr ? sizeof *context : 0;
  check(bpf_prog_test_run_opts(program_fd, &options) == 0, "BPF_PROG_TEST_RUN");
  return options.retval;
}

bool is_match(std::uint32_t verdict, std::uint32_t match, std::uint32_t no_match) {
  if (verdict != match && verdict != no_match) throw std::runtime_error("verdict " + std::to_string(verdict));
  return verdict == match;
}

bool xdp_match(std::uint32_t verdict) { return is_match(verdict, match_verdict, no_match_verdict); }

bool tap_match(std::uint32_t bytes) { return is_match(bytes, 0xffffffff, 0); }

engine::UniqueFd load_tc(const std::vector<bpf_insn>& code) {
  return engine::UniqueFd(
      bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "test", "Dual MIT/GPL", code.data(), code.size(), nullptr));
}

std::uint16_t type_of(std::span<const std::uint8_t> frame) {  // in network order, as helpers want it
  std::uint16_t type = 0;
  std::memcpy(&type, frame.data() + 12, sizeof type);
  return type;
}

void put_program(const engine::UniqueFd& slots, std::uint32_t slot, int program_fd) {
  check(bpf_map_update_elem(slots.get(), &slot, &program_fd, BPF_ANY) == 0, "fill a slot");
}

}  // namespace

XdpRig::XdpRig(bool frags, bool by_helpers) : frags_(frags), by_helpers_(by_helpers), slots_(program_array()) {
  put_program(slots_, match_slot, load(returns(match_verdict)).get());
  put_program(slots_, no_match_slot, load(returns(no_match_verdict)).get());
  if (!frags) return;
  split_ = load(splits(slots_.get()));
  check(split_.valid(), "load the program that splits");
  const std::vector<std::uint8_t> page(4096);
  linear_bytes_ = run(load(tells_linear_bytes()).get(), page);
}

engine::UniqueFd XdpRig::load(const std::vector<bpf_insn>& code) const {
  bpf::Options<bpf_prog_load_opts> options;
  options.expected_attach_type = BPF_XDP;
  options.prog_flags = frags_ ? BPF_F_XDP_HAS_FRAGS : 0;
  return engine::UniqueFd(bpf_prog_load(BPF_PROG_TYPE_XDP, "test", "Dual MIT/GPL", code.data(), code.size(), &options));
}

engine::UniqueFd XdpRig::load(const bpf::ClassicExpression& expression) const {
  return load(bpf::translate_for_xdp(expression, target()));
}

bool XdpRig::matches(int program_fd, std::span<const std::uint8_t> frame) const {
  return xdp_match(run(program_fd, frame));
}

bool XdpRig::matches_split(int program_fd, std::span<const std::uint8_t> frame, std::size_t linear_bytes) const {
  const auto dropped = static_cast<std::uint32_t>(linear_bytes_ - linear_bytes);
  std::vector<std::uint8_t> buffers(dropped);
  std::memcpy(buffers.data(), &dropped, sizeof dropped);
  buffers.insert(buffers.end(), frame.begin(), frame.end());
  put_program(slots_, filter_slot, program_fd);
  return xdp_match(run(split_.get(), buffers));
}

TapRig::TapRig()
    : counters_(bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "test_counts", 4, sizeof(bpf::TapCounters), 1, nullptr)),
      slots_(program_array()),
      complete_(load_tc(completes(slots_.get()))) {
  check(counters_.valid() && complete_.valid(), "load the program that completes socket buffers");
}

engine::UniqueFd TapRig::load(const bpf::ClassicExpression& expression) const {
  return load_tc(bpf::translate_for_tap(expression, counters_.get()));
}

bool TapRig::matches(int program_fd, std::span<const std::uint8_t> frame) const {
  return run_with_tag(program_fd, frame, 0, 0);
}

bool TapRig::matches_untagged_by_kernel(int program_fd, std::span<const std::uint8_t> frame) const {
  std::vector<std::uint8_t> rest(frame.begin(), frame.begin() + 12);
  rest.insert(rest.end(), frame.begin() + 16, frame.end());
  return run_with_tag(program_fd, rest, type_of(frame), static_cast<__u32>(frame[14] << 8 | frame[15]));
}

bool TapRig::run_with_tag(int program_fd, std::span<const std::uint8_t> frame, std::uint32_t tag_type,
                          std::uint32_t tag_number) const {
  __sk_buff context = {};
  context.cb[0] = type_of(frame);
  context.cb[1] = tag_type;
  context.cb[2] = tag_number;
  std::vector<std::uint8_t> incomplete(frame.begin(), frame.end());
  incomplete[12] = 0x88;  // a type for experiments: the kernel wants a whole header behind that of IP
  incomplete[13] = 0xb5;
  put_program(slots_, filter_slot, program_fd);
  return tap_match(run(complete_.get(), incomplete, &context));
}

bool TapRig::can_run(std::span<const std::uint8_t> frame) { return frame.size() > ETH_HLEN; }

bool TapRig::can_untag(std::span<const std::uint8_t> frame) {
  const int type = frame[12] << 8 | frame[13];
  return frame.size() > ETH_HLEN + 4 && (type == ETH_P_8021Q || type == ETH_P_8021AD);
}

}  // namespace bpf_test
