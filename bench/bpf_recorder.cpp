#include "bench/bpf_recorder.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <ctime>
#include <type_traits>
#include <utility>

namespace {

bench::BpfRecording* recording = nullptr;  // the one thing that syscall() cannot be told otherwise

long system_call(long number, const long (&words)[6]) noexcept {
  register long fourth asm("r10") = words[3];
  register long fifth asm("r8") = words[4];
  register long sixth asm("r9") = words[5];
  long result = number;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(words[0]), "S"(words[1]), "d"(words[2]), "r"(fourth), "r"(fifth), "r"(sixth)
               : "rcx", "r11", "memory");
  return result;
}

}  // namespace

// In front of libc's, for this program and the libraries that it loads.
extern "C" long syscall(long number, ...) noexcept {
  long words[6];
  va_list list;
  va_start(list, number);
  for (long& word : words) word = va_arg(list, long);
  va_end(list);
  const long result = system_call(number, words);
  if (number == SYS_bpf && recording != nullptr) {
    bpf_attr attributes;
    std::memset(&attributes, 0, sizeof attributes);
    std::memcpy(&attributes, reinterpret_cast<const void*>(words[1]),
                std::min(sizeof attributes, static_cast<std::size_t>(words[2])));
    recording->note(static_cast<int>(words[0]), attributes, static_cast<int>(result));
  }
  if (result < 0 && result > -4096) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

namespace bench {

double thread_cpu_ns() noexcept {
  std::timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void BpfRecording::start() { recording = this; }
void BpfRecording::stop() { recording = nullptr; }

std::uint64_t BpfRecording::keep(std::uint64_t pointer, std::size_t bytes) {
  if (pointer == 0) return 0;
  memory_.emplace_back(bytes);
  std::memcpy(memory_.back().data(), reinterpret_cast<const void*>(pointer), bytes);
  return reinterpret_cast<std::uintptr_t>(memory_.back().data());
}

void BpfRecording::keep_program(Call& call) {
  bpf_attr& attributes = call.attributes;
  const auto* const code = reinterpret_cast<const bpf_insn*>(attributes.insns);
  for (std::size_t i = 0; i < attributes.insn_cnt; ++i) {
    if (code[i].code != (BPF_LD | BPF_IMM | BPF_DW)) continue;
    if (code[i].src_reg == BPF_PSEUDO_MAP_FD || code[i].src_reg == BPF_PSEUDO_MAP_VALUE)
      call.references.push_back({i, code[i].imm});
    ++i;  // of two slots
  }
  attributes.insns = keep(attributes.insns, attributes.insn_cnt * sizeof(bpf_insn));
  attributes.license = keep(attributes.license, std::strlen(reinterpret_cast<const char*>(attributes.license)) + 1);
  attributes.func_info =
      keep(attributes.func_info, std::size_t{attributes.func_info_cnt} * attributes.func_info_rec_size);
  attributes.line_info =
      keep(attributes.line_info, std::size_t{attributes.line_info_cnt} * attributes.line_info_rec_size);
  attributes.log_buf = attributes.log_size = attributes.log_level = 0;
}

void BpfRecording::note(int command, const bpf_attr& given, int result) {
  if (result < 0) return;
  Call call{command, given, result, {}};
  bpf_attr& attributes = call.attributes;
  switch (command) {
    case BPF_PROG_LOAD:
      if (attributes.insn_cnt <= 2) return;  // libbpf's probe: may anything be loaded at all?
      keep_program(call);
      break;
    case BPF_BTF_LOAD:
      attributes.btf = keep(attributes.btf, attributes.btf_size);
      attributes.btf_log_buf = attributes.btf_log_size = attributes.btf_log_level = 0;
      break;
    case BPF_MAP_CREATE:
      map_sizes_[result] = {attributes.key_size, attributes.value_size};
      break;
    case BPF_MAP_UPDATE_ELEM:
      attributes.key = keep(attributes.key, map_sizes_[static_cast<int>(attributes.map_fd)].first);
      attributes.value = keep(attributes.value, map_sizes_[static_cast<int>(attributes.map_fd)].second);
      break;
    case BPF_MAP_FREEZE:
      break;
    default:
      return;
  }
  calls_.push_back(std::move(call));
}

bpf_attr BpfRecording::with_descriptors(const Call& call) const {
  bpf_attr attributes = call.attributes;
  const auto put = [this](auto& fd) {
    const auto found = descriptors_.find(static_cast<int>(fd));
    if (found != descriptors_.end()) fd = static_cast<std::remove_reference_t<decltype(fd)>>(found->second);
  };
  if (call.command == BPF_MAP_CREATE) put(attributes.btf_fd);
  if (call.command == BPF_MAP_UPDATE_ELEM || call.command == BPF_MAP_FREEZE) put(attributes.map_fd);
  if (call.command != BPF_PROG_LOAD) return attributes;
  put(attributes.prog_btf_fd);
  auto* const code = reinterpret_cast<bpf_insn*>(attributes.insns);
  for (const MapReference& reference : call.references) {
    code[reference.instruction].imm = reference.fd;
    put(code[reference.instruction].imm);
  }
  return attributes;
}

double BpfRecording::replay_ns() {
  descriptors_.clear();
  std::vector<int> opened;
  bool good = true;
  double spent_ns = 0;
  for (const Call& call : calls_) {
    bpf_attr attributes = with_descriptors(call);
    const double begin_ns = thread_cpu_ns();
    const long result =
        system_call(SYS_bpf, {call.command, reinterpret_cast<long>(&attributes), long{sizeof attributes}, 0, 0, 0});
    spent_ns += thread_cpu_ns() - begin_ns;
    good &= result >= 0;
    if (call.command == BPF_MAP_UPDATE_ELEM || call.command == BPF_MAP_FREEZE || result < 0) continue;
    opened.push_back(static_cast<int>(result));
    descriptors_[call.result] = static_cast<int>(result);
  }
  for (const int fd : opened) close(fd);
  return good ? spent_ns : -1;
}

}  // namespace bench
