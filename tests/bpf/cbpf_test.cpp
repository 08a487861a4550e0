// The translator over random classic programs, against libpcap's interpreter: every instruction, not only those that
// libpcap's compiler likes to make.
#include "bpf/cbpf.h"

#include <initializer_list>
#include <random>
#include <sstream>

#include "tests/bpf/filter_rig.h"
#include "tests/bpf/pcap_oracle.h"
#include "tests/bpf/support.h"

namespace {

using namespace bpf_test;
using Code = std::vector<sock_filter>;

sock_filter stmt(unsigned code, std::uint32_t k) { return {static_cast<std::uint16_t>(code), 0, 0, k}; }

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

Frame random_bytes(std::mt19937_64& random) {
  Frame frame(19 + random() % 50);
  for (std::uint8_t& byte : frame) byte = static_cast<std::uint8_t>(random());
  return frame;
}

TEST(Cbpf, RunsRandomProgramsAsLibpcapDoes) {
  NEEDS_ROOT();
  const XdpRig rig(false), by_helpers(false, true);
  std::mt19937_64 random(7);
  unsigned matches = 0;
  constexpr unsigned programs = 3000;
  for (unsigned i = 0; i < programs; ++i) {
    const Code code = RandomProgram(random).make();
    const engine::UniqueFd program = rig.load(single(code)), other = by_helpers.load(single(code));
    ASSERT_TRUE(program.valid() && other.valid()) << "the verifier refused program " << i << ": " << listing(code);
    for (int n = 0; n < 4; ++n) {
      const Frame frame = random_bytes(random);
      const bool match = interpret(code, frame) != 0;
      ASSERT_EQ(rig.matches(program.get(), frame), match) << "program " << i << ": " << listing(code);
      ASSERT_EQ(by_helpers.matches(other.get(), frame), match) << "program " << i << ": " << listing(code);
      matches += match;
    }
  }
  EXPECT_GT(matches, programs / 2) << "both answers are common";
  EXPECT_LT(matches, 4 * programs - programs / 2);
}

TEST(Cbpf, RunsThemOverFramesInSeveralBuffersToo) {
  NEEDS_ROOT();
  const XdpRig rig(true);
  std::mt19937_64 random(8);
  for (unsigned i = 0; i < 2000; ++i) {
    const Code code = RandomProgram(random).make();
    const engine::UniqueFd program = rig.load(single(code));
    ASSERT_TRUE(program.valid()) << "the verifier refused program " << i << ": " << listing(code);
    for (int n = 0; n < 4; ++n) {
      const Frame frame = random_bytes(random);
      const bool match = interpret(code, frame) != 0;
      const std::size_t linear = 14 + random() % (frame.size() - 14);
      ASSERT_EQ(rig.matches(program.get(), frame), match) << "program " << i << ": " << listing(code);
      ASSERT_EQ(rig.matches_split(program.get(), frame, linear), match)
          << "program " << i << ", " << linear << " of " << frame.size() << " bytes linear: " << listing(code);
    }
  }
}

TEST(Cbpf, RunsThemOverSocketBuffersWithAndWithoutARemovedTagToo) {
  NEEDS_ROOT();
  const TapRig rig;
  std::mt19937_64 random(9);
  for (unsigned i = 0; i < 2000; ++i) {
    const Code code = RandomProgram(random).make();
    const engine::UniqueFd program = rig.load(single(code));
    ASSERT_TRUE(program.valid()) << "the verifier refused program " << i << ": " << listing(code);
    for (int n = 0; n < 4; ++n) {
      Frame frame = random_bytes(random);
      const bool is_ad = random() % 2 == 0;
      ASSERT_EQ(rig.matches(program.get(), frame), interpret(code, frame) != 0)
          << "program " << i << ": " << listing(code);
      frame[12] = is_ad ? 0x88 : 0x81;
      frame[13] = is_ad ? 0xa8 : 0x00;
      ASSERT_EQ(rig.matches_untagged_by_kernel(program.get(), frame), interpret(code, frame) != 0)
          << "program " << i << ": " << listing(code) << testing::PrintToString(frame);
    }
  }
}

bool matches(const XdpRig& rig, const Code& code, const Frame& frame) {
  const engine::UniqueFd program = rig.load(single(code));
  EXPECT_TRUE(program.valid()) << "the verifier refused it";
  return program.valid() && rig.matches(program.get(), frame);
}

TEST(Cbpf, EndsWithoutAMatchWhereALoadLeavesTheFrame) {
  NEEDS_ROOT();
  const XdpRig rig(false);
  const Frame frame(60, 1);
  const auto match = [&](unsigned code, std::uint32_t k) {
    return matches(rig, {stmt(BPF_LDX | BPF_IMM, 10), stmt(code, k), stmt(BPF_RET | BPF_K, 1)}, frame);
  };
  EXPECT_TRUE(match(BPF_LD | BPF_W | BPF_ABS, 56));
  EXPECT_FALSE(match(BPF_LD | BPF_W | BPF_ABS, 57));
  EXPECT_TRUE(match(BPF_LD | BPF_B | BPF_ABS, 59));
  EXPECT_FALSE(match(BPF_LD | BPF_B | BPF_ABS, 60));
  EXPECT_TRUE(match(BPF_LD | BPF_H | BPF_IND, 48));
  EXPECT_FALSE(match(BPF_LD | BPF_H | BPF_IND, 49));
  EXPECT_FALSE(match(BPF_LDX | BPF_B | BPF_MSH, 60));
  EXPECT_FALSE(match(BPF_LD | BPF_B | BPF_ABS, 65535));
  EXPECT_FALSE(match(BPF_LD | BPF_B | BPF_ABS, 1000000)) << "beyond any frame";
}

TEST(Cbpf, EndsWithoutAMatchAtADivisionByZero) {
  NEEDS_ROOT();
  const XdpRig rig(false);
  for (const unsigned op : {BPF_DIV, BPF_MOD}) {
    const Code by_x = {stmt(BPF_LDX | BPF_IMM, 0), stmt(BPF_ALU | op | BPF_X, 0), stmt(BPF_RET | BPF_K, 1)};
    const Code by_k = {stmt(BPF_ALU | op | BPF_K, 0), stmt(BPF_RET | BPF_K, 1)};
    EXPECT_FALSE(matches(rig, by_x, Frame(14)));
    EXPECT_FALSE(matches(rig, by_k, Frame(14)));
  }
}

TEST(Cbpf, HasZeroForShiftsBeyondTheRegister) {
  NEEDS_ROOT();
  const XdpRig rig(false);
  const Code by_x = {stmt(BPF_LD | BPF_IMM, 1), stmt(BPF_LDX | BPF_IMM, 32), stmt(BPF_ALU | BPF_LSH | BPF_X, 0),
                     stmt(BPF_RET | BPF_A, 0)};
  EXPECT_FALSE(matches(rig, by_x, Frame(14)));
}

TEST(Cbpf, RefusesProgramsThatLoopOrLeaveTheirEndOrAreTooLong) {
  const auto refused = [](const Code& code) { return error_of([&] { bpf::translate_for_xdp(single(code), {}); }); };
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
