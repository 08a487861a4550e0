// The translator over random classic programs, against libpcap's interpreter: every instruction, not only those that
// libpcap's compiler likes to make.
#include "bpf/cbpf.h"

#include <bpf/bpf.h>

#include <initializer_list>
#include <random>
#include <sstream>

#include "bpf/options.h"
#include "tests/bpf/pcap_oracle.h"
#include "tests/bpf/support.h"

namespace {

using namespace bpf_test;
using Code = std::vector<sock_filter>;

constexpr std::uint32_t match_verdict = XDP_TX, no_match_verdict = XDP_DROP;

sock_filter stmt(unsigned code, std::uint32_t k) { return {static_cast<std::uint16_t>(code), 0, 0, k}; }

std::vector<bpf_insn> translate(const Code& code, int slots_fd) {
  return bpf::translate_for_xdp({.groups = {{code}}, .text = "random"}, {.slots_fd = slots_fd});
}

engine::UniqueFd load(const std::vector<bpf_insn>& code) {
  bpf::Options<bpf_prog_load_opts> options;
  options.expected_attach_type = BPF_XDP;
  return engine::UniqueFd(bpf_prog_load(BPF_PROG_TYPE_XDP, "test", "MIT", code.data(), code.size(), &options));
}

// A program array whose two slots tell by their verdict that they were reached.
class Slots {
 public:
  Slots() : map_(bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "test_slots", 4, 4, 2, nullptr)) {
    EXPECT_TRUE(map_.valid());
    put(0, match_verdict);
    put(1, no_match_verdict);
  }
  int fd() const { return map_.get(); }

  std::uint32_t verdict(const Code& code, std::span<const std::uint8_t> frame) const {
    const engine::UniqueFd program = load(translate(code, fd()));
    EXPECT_TRUE(program.valid()) << "the verifier refused it";
    return program.valid() ? run(program.get(), frame) : 0;
  }

 private:
  void put(std::uint32_t slot, std::uint32_t verdict) const {
    bpf_insn move = {}, leave = {};
    move.code = BPF_ALU64 | BPF_MOV | BPF_K;
    move.imm = static_cast<std::int32_t>(verdict);
    leave.code = BPF_JMP | BPF_EXIT;
    const engine::UniqueFd program = load({move, leave});
    const int fd = program.get();
    EXPECT_EQ(bpf_map_update_elem(map_.get(), &slot, &fd, BPF_ANY), 0);
  }

  engine::UniqueFd map_;
};

class RandomProgram {
 public:
  explicit RandomProgram(std::mt19937_64& random) : random_(random) {}

  Code make() {
    Code code;
    for (std::uint32_t cell = 0; cell < cells; ++cell) {  // libpcap's cells are not zeroed
      code.push_back(stmt(BPF_LD | BPF_IMM, value()));
      code.push_back(stmt(BPF_ST, cell));
    }
    code.push_back(stmt(BPF_LDX | BPF_IMM, below(40)));
    const std::uint32_t length = 1 + below(30);
    for (std::uint32_t left = length; left > 0; --left) code.push_back(one(left));
    code.push_back(stmt(BPF_RET | BPF_A, 0));
    return code;
  }

 private:
  static constexpr std::uint32_t cells = 4;

  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  std::uint32_t value() { return below(3) == 0 ? static_cast<std::uint32_t>(random_()) : below(80); }
  unsigned size() { return one_of({BPF_W, BPF_H, BPF_B}); }
  unsigned one_of(std::initializer_list<unsigned> codes) {
    return codes.begin()[below(static_cast<std::uint32_t>(codes.size()))];
  }
  unsigned source() { return below(2) == 0 ? BPF_K : BPF_X; }

  // `left` instructions follow up to the final return, so that a jump of less than that stays inside.
  sock_filter one(std::uint32_t left) {
    switch (below(14)) {
      case 0:
        return stmt(BPF_LD | BPF_ABS | size(), below(50));
      case 1:
        return stmt(BPF_LD | BPF_IND | size(),
                    below(12) == 0 ? static_cast<std::uint32_t>(random_() % 0x80000000) : below(30));
      case 2:
        return stmt(BPF_LD | BPF_MEM, below(cells));
      case 3:
        return stmt(below(2) == 0 ? BPF_LD | BPF_IMM : BPF_LDX | BPF_IMM, value());
      case 4:
        return stmt((below(2) == 0 ? BPF_LD : BPF_LDX) | BPF_W | BPF_LEN, 0);
      case 5:
        return stmt(BPF_LDX | BPF_MEM, below(cells));
      case 6:
        return stmt(BPF_LDX | BPF_MSH | BPF_B, below(50));
      case 7:
        return stmt(below(2) == 0 ? BPF_ST : BPF_STX, below(cells));
      case 8:
        return stmt(BPF_MISC | (below(2) == 0 ? BPF_TAX : BPF_TXA), 0);
      case 9:
        return {static_cast<std::uint16_t>(BPF_JMP | BPF_JA), 0, 0, below(left)};
      case 10:
      case 11:
        return conditional(left);
      default:
        return arithmetic();
    }
  }

  sock_filter conditional(std::uint32_t left) {
    const unsigned op = one_of({BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET});
    const auto jt = static_cast<std::uint8_t>(below(2) * below(left)),
               jf = static_cast<std::uint8_t>(below(2) * below(left));
    return {static_cast<std::uint16_t>(BPF_JMP | op | source()), jt, jf, value()};
  }

  sock_filter arithmetic() {
    const unsigned op =
        one_of({BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND, BPF_LSH, BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR});
    if (op == BPF_NEG) return stmt(BPF_ALU | BPF_NEG, 0);
    const bool shift = op == BPF_LSH || op == BPF_RSH;  // libpcap shifts by a constant above 31 as its machine does
    return stmt(BPF_ALU | op | source(), shift ? below(32) : 1 + (value() & 0x7fffffff));
  }

  std::mt19937_64& random_;
};

std::string listing(const Code& code) {
  std::ostringstream text;
  for (const sock_filter& i : code) text << "{" << i.code << "," << +i.jt << "," << +i.jf << "," << i.k << "} ";
  return text.str();
}

TEST(Cbpf, RunsRandomProgramsAsLibpcapDoes) {
  NEEDS_ROOT();
  const Slots slots;
  std::mt19937_64 random(7);
  unsigned matches = 0;
  constexpr unsigned programs = 3000;
  for (unsigned i = 0; i < programs; ++i) {
    const Code code = RandomProgram(random).make();
    const engine::UniqueFd program = load(translate(code, slots.fd()));
    ASSERT_TRUE(program.valid()) << "the verifier refused program " << i << ": " << listing(code);
    for (int n = 0; n < 4; ++n) {
      Frame frame(14 + random() % 50);
      for (std::uint8_t& byte : frame) byte = static_cast<std::uint8_t>(random());
      const bool match = interpret(code, frame) != 0;
      ASSERT_EQ(run(program.get(), frame), match ? match_verdict : no_match_verdict)
          << "program " << i << ": " << listing(code);
      matches += match;
    }
  }
  EXPECT_GT(matches, programs / 2) << "both answers are common";
  EXPECT_LT(matches, 4 * programs - programs / 2);
}

TEST(Cbpf, EndsWithoutAMatchWhereALoadLeavesTheFrame) {
  NEEDS_ROOT();
  const Slots slots;
  const Frame frame(60, 1);
  const auto verdict = [&](unsigned code, std::uint32_t k) {
    return slots.verdict({stmt(BPF_LDX | BPF_IMM, 10), stmt(code, k), stmt(BPF_RET | BPF_K, 1)}, frame);
  };
  EXPECT_EQ(verdict(BPF_LD | BPF_W | BPF_ABS, 56), match_verdict);
  EXPECT_EQ(verdict(BPF_LD | BPF_W | BPF_ABS, 57), no_match_verdict);
  EXPECT_EQ(verdict(BPF_LD | BPF_B | BPF_ABS, 59), match_verdict);
  EXPECT_EQ(verdict(BPF_LD | BPF_B | BPF_ABS, 60), no_match_verdict);
  EXPECT_EQ(verdict(BPF_LD | BPF_H | BPF_IND, 48), match_verdict);
  EXPECT_EQ(verdict(BPF_LD | BPF_H | BPF_IND, 49), no_match_verdict);
  EXPECT_EQ(verdict(BPF_LDX | BPF_B | BPF_MSH, 60), no_match_verdict);
  EXPECT_EQ(verdict(BPF_LD | BPF_B | BPF_ABS, 65535), no_match_verdict);
  EXPECT_EQ(verdict(BPF_LD | BPF_B | BPF_ABS, 1000000), no_match_verdict) << "beyond any frame";
}

TEST(Cbpf, EndsWithoutAMatchAtADivisionByZero) {
  NEEDS_ROOT();
  const Slots slots;
  for (const unsigned op : {BPF_DIV, BPF_MOD}) {
    const Code by_x = {stmt(BPF_LDX | BPF_IMM, 0), stmt(BPF_ALU | op | BPF_X, 0), stmt(BPF_RET | BPF_K, 1)};
    const Code by_k = {stmt(BPF_ALU | op | BPF_K, 0), stmt(BPF_RET | BPF_K, 1)};
    EXPECT_EQ(slots.verdict(by_x, Frame(14)), no_match_verdict);
    EXPECT_EQ(slots.verdict(by_k, Frame(14)), no_match_verdict);
  }
}

TEST(Cbpf, HasZeroForShiftsBeyondTheRegister) {
  NEEDS_ROOT();
  const Slots slots;
  const Code by_x = {stmt(BPF_LD | BPF_IMM, 1), stmt(BPF_LDX | BPF_IMM, 32), stmt(BPF_ALU | BPF_LSH | BPF_X, 0),
                     stmt(BPF_RET | BPF_A, 0)};
  EXPECT_EQ(slots.verdict(by_x, Frame(14)), no_match_verdict);
}

TEST(Cbpf, RefusesProgramsThatLoopOrLeaveTheirEndOrAreTooLong) {
  const auto refused = [](const Code& code) { return error_of([&] { translate(code, 0); }); };
  EXPECT_NE(refused({stmt(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(-1))}).find("has a loop"), std::string::npos);
  EXPECT_NE(refused({stmt(BPF_LD | BPF_IMM, 1)}).find("jumps beyond its end"), std::string::npos);
  EXPECT_NE(refused({stmt(BPF_JMP | BPF_JA, 5), stmt(BPF_RET | BPF_K, 0)}).find("beyond its end"), std::string::npos);
  EXPECT_NE(refused({}).find("beyond its end"), std::string::npos);
  EXPECT_NE(refused({stmt(BPF_ST, 16), stmt(BPF_RET | BPF_K, 0)}).find("scratch cell"), std::string::npos);
  Code far = {{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 7}, stmt(BPF_JMP | BPF_JA, 8000)};
  far.insert(far.end(), 8000, stmt(BPF_LD | BPF_W | BPF_ABS, 0));
  far.push_back(stmt(BPF_RET | BPF_K, 1));
  EXPECT_NE(refused(far).find("is too long"), std::string::npos);
  EXPECT_NE(refused({stmt(BPF_LD | BPF_W | BPF_ABS, 0xfffff004), stmt(BPF_RET | BPF_K, 0)}).find("not in the frame"),
            std::string::npos);
}

}  // namespace
