// The translator's core: control flow, arithmetic and memory, one instruction of libpcap's at a time. What reads the
// packet is in cbpf_xdp.cpp and cbpf_tap.cpp.
#include "bpf/cbpf.h"

#include <cstddef>
#include <span>
#include <string>

#include "bpf/cbpf_view.h"
#include "engine/base/error.h"

namespace bpf {
namespace {

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw engine::SetupError(engine::ExitCode::bad_usage, "filter \"" + text + "\"", why,
                           "leave that part of the filter to the analyzer, or to tcpdump");
}

// One classic program. A label for each of its instructions.
class Section {
 public:
  Section(EbpfWriter& out, PacketView& view, std::span<const sock_filter> code, const std::string& text,
          EbpfWriter::Label match, EbpfWriter::Label no_match)
      : out_(out),
        view_(view),
        code_(code),
        text_(text),
        first_(out.labels(code.size())),
        match_(match),
        no_match_(no_match) {}

  void translate() {
    refuse_untranslatable(code_, text_);
    out_.set32(A, 0);
    out_.set32(X, 0);
    // The verifier refuses code that cannot be reached. Jumps go forward, so one pass finds what can.
    reachable_.assign(code_.size(), false);
    reach(0);
    for (at_ = 0; at_ < code_.size(); ++at_) {
      out_.place(first_ + at_);
      if (reachable_[at_]) translate(code_[at_]);
    }
  }

 private:
  void reach(std::size_t instruction) {
    if (instruction >= code_.size()) refuse(text_, "jumps beyond its end");
    reachable_[instruction] = true;
  }

  // Cannot match whatever the frame: a load beyond any frame, a division by the constant zero.
  bool never_matches(const sock_filter& insn) const {
    const bool loads = BPF_CLASS(insn.code) <= BPF_LDX;
    const std::uint8_t mode = BPF_MODE(insn.code);
    if (loads && (mode == BPF_ABS || mode == BPF_IND || mode == BPF_MSH))
      return insn.k > view_.last_offset(BPF_SIZE(insn.code));
    const std::uint8_t op = BPF_OP(insn.code);
    return BPF_CLASS(insn.code) == BPF_ALU && (op == BPF_DIV || op == BPF_MOD) && BPF_SRC(insn.code) == BPF_K &&
           insn.k == 0;
  }

  void translate(const sock_filter& insn) {
    if (never_matches(insn)) return out_.jump_always(no_match_);
    if (BPF_CLASS(insn.code) == BPF_JMP) return branch(insn);
    if (BPF_CLASS(insn.code) == BPF_RET) return leave(insn);
    reach(at_ + 1);
    switch (BPF_CLASS(insn.code)) {
      case BPF_LD:
        return load_a(insn);
      case BPF_LDX:
        return load_x(insn);
      case BPF_ST:
        return out_.store(BPF_W, FRAME, memory(insn.k), A);
      case BPF_STX:
        return out_.store(BPF_W, FRAME, memory(insn.k), X);
      case BPF_ALU:
        return arithmetic(insn);
      default:
        return BPF_MISCOP(insn.code) == BPF_TAX ? out_.move32(X, A) : out_.move32(A, X);
    }
  }

  std::int16_t memory(std::uint32_t k) const {
    if (k >= BPF_MEMWORDS) refuse(text_, "uses a scratch cell beyond the sixteenth");
    return static_cast<std::int16_t>(-4 * static_cast<int>(k + 1));
  }

  [[noreturn]] void refuse_load(const sock_filter& insn) const {
    refuse(text_, "has a load that is not known (code " + std::to_string(insn.code) + ")");
  }

  void load_a(const sock_filter& insn) {
    const std::uint8_t size = BPF_SIZE(insn.code);
    switch (BPF_MODE(insn.code)) {
      case BPF_IMM:
        return out_.set32(A, insn.k);
      case BPF_LEN:
        return view_.length(A);
      case BPF_MEM:
        return out_.load(BPF_W, A, FRAME, memory(insn.k));
      case BPF_ABS:
        return view_.load(A, size, insn.k, no_match_);
      case BPF_IND:
        return view_.load_indirect(size, insn.k, no_match_);
      default:
        refuse_load(insn);
    }
  }

  void load_x(const sock_filter& insn) {
    switch (BPF_MODE(insn.code)) {
      case BPF_IMM:
        return out_.set32(X, insn.k);
      case BPF_LEN:
        return view_.length(X);
      case BPF_MEM:
        return out_.load(BPF_W, X, FRAME, memory(insn.k));
      case BPF_MSH:  // X = 4 * low nibble: the length of an IPv4 header
        view_.load(X, BPF_B, insn.k, no_match_);
        out_.emit(BPF_ALU | BPF_AND | BPF_K, X, 0, 0xf);
        return out_.emit(BPF_ALU | BPF_LSH | BPF_K, X, 0, 2);
      default:
        refuse_load(insn);
    }
  }

  void arithmetic(const sock_filter& insn) {
    const std::uint8_t op = BPF_OP(insn.code);
    const bool by_x = BPF_SRC(insn.code) == BPF_X;
    const bool shift = op == BPF_LSH || op == BPF_RSH;
    if (op == BPF_NEG) return out_.emit(BPF_ALU | BPF_NEG, A);
    if ((op == BPF_DIV || op == BPF_MOD) && by_x)  // eBPF's own division by zero goes on with 0
      out_.jump(BPF_JMP32 | BPF_JEQ | BPF_K, X, 0, 0, no_match_);
    if (shift && by_x) return shift_by_x(op);
    if (shift && insn.k > 31) return out_.set32(A, 0);
    out_.emit(static_cast<std::uint8_t>(BPF_ALU | op | BPF_SRC(insn.code)), A, X * by_x,
              by_x ? 0 : static_cast<std::int32_t>(insn.k));
  }

  // eBPF takes the count modulo 32, libpcap has 0 for more.
  void shift_by_x(std::uint8_t op) {
    out_.emit(BPF_JMP32 | BPF_JGT | BPF_K, X, 0, 31, 2);
    out_.emit(static_cast<std::uint8_t>(BPF_ALU | op | BPF_X), A, X);
    out_.emit(BPF_JMP | BPF_JA, 0, 0, 0, 1);
    out_.set32(A, 0);
  }

  void branch(const sock_filter& insn) {
    const std::uint8_t op = BPF_OP(insn.code);
    if (op == BPF_JA) return jump_always(at_ + 1 + insn.k);
    const std::size_t if_true = at_ + 1 + insn.jt;
    const std::size_t if_false = at_ + 1 + insn.jf;
    const std::uint8_t source = BPF_SRC(insn.code);
    const std::uint8_t src = source == BPF_X ? X : 0;
    const std::int32_t imm = source == BPF_X ? 0 : static_cast<std::int32_t>(insn.k);
    if (insn.jt == 0 && op != BPF_JSET) {  // one instruction less: fall through when true
      const std::uint8_t inverse = op == BPF_JEQ ? BPF_JNE : op == BPF_JGT ? BPF_JLE : BPF_JLT;
      reach(if_true);
      return jump(static_cast<std::uint8_t>(BPF_JMP32 | inverse | source), src, imm, if_false);
    }
    jump(static_cast<std::uint8_t>(BPF_JMP32 | op | source), src, imm, if_true);
    if (insn.jf == 0) return reach(if_false);
    jump_always(if_false);
  }

  void jump(std::uint8_t code, std::uint8_t src, std::int32_t imm, std::size_t to) {
    reach(to);
    out_.jump(code, A, src, imm, first_ + to);
  }
  void jump_always(std::size_t to) {
    reach(to);
    out_.jump_always(first_ + to);
  }

  void leave(const sock_filter& insn) {
    if (BPF_RVAL(insn.code) == BPF_A) {
      out_.jump(BPF_JMP32 | BPF_JEQ | BPF_K, A, 0, 0, no_match_);
      return out_.jump_always(match_);
    }
    out_.jump_always(insn.k == 0 ? no_match_ : match_);
  }

  EbpfWriter& out_;
  PacketView& view_;
  std::span<const sock_filter> code_;
  const std::string& text_;
  EbpfWriter::Label first_;
  EbpfWriter::Label match_;
  EbpfWriter::Label no_match_;
  std::size_t at_ = 0;
  std::vector<bool> reachable_;
};

}  // namespace

void translate(EbpfWriter& out, PacketView& view, const ClassicExpression& expression, EbpfWriter::Label match,
               EbpfWriter::Label no_match) {
  bool reached = true;  // a program behind one that never matches, or always does, is not written
  for (std::size_t g = 0; g < expression.groups.size(); ++g) {
    const auto& group = expression.groups[g];
    const bool last_group = g + 1 == expression.groups.size();
    const EbpfWriter::Label next_group = last_group ? match : out.label();
    for (std::size_t i = 0; i < group.size(); ++i) {
      const EbpfWriter::Label next = i + 1 == group.size() ? no_match : out.label();
      if (reached) Section(out, view, group[i], expression.text, next_group, next).translate();
      reached = out.used(next);
      if (next != no_match) out.place(next);
    }
    reached = out.used(next_group);
    if (!last_group) out.place(next_group);
  }
  if (expression.groups.empty()) out.jump_always(match);
}

void clear_memory(EbpfWriter& out, const ClassicExpression& expression) {
  std::uint32_t used = 0;
  for (const auto& group : expression.groups) {
    for (const auto& code : group) {
      for (const sock_filter& insn : code) {
        const bool loads = BPF_CLASS(insn.code) <= BPF_LDX && BPF_MODE(insn.code) == BPF_MEM;
        if (loads && insn.k < BPF_MEMWORDS) used |= 1U << insn.k;
      }
    }
  }
  for (int k = 0; k < BPF_MEMWORDS; ++k)
    if (used & (1U << k)) out.emit(BPF_ST | BPF_MEM | BPF_W, FRAME, 0, 0, static_cast<std::int16_t>(-4 * (k + 1)));
}

std::vector<bpf_insn> finish(EbpfWriter& out, const ClassicExpression& expression) {
  if (!out.resolve()) refuse(expression.text, "is too long: a jump spans more than 32,767 instructions");
  return out.take();
}

}  // namespace bpf
