// The functions between libluajit and the C library. They run for every caller in the process, also before main, in
// other threads and after a fork: they take no lock, allocate nothing, and for others than libluajit only pass on.
#include "plugins/machine_code.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <lua.hpp>

#include "engine/base/error.h"

namespace plugins {

constinit thread_local MachineCode* current_machine_code = nullptr;

namespace {

// Written once, before the first state is made.
constinit std::atomic<std::uintptr_t> luajit_begin = 0;
constinit std::atomic<std::uintptr_t> luajit_end = 0;

// The function that a caller would reach without us. Under a sanitizer that is the sanitizer's.
template <typename Signature>
class Next {
 public:
  constexpr explicit Next(const char* name) noexcept : name_(name) {}
  Signature* get() noexcept {
    Signature* function = known_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<Signature*>(dlsym(RTLD_NEXT, name_));
      known_.store(function, std::memory_order_relaxed);
    }
    return function;
  }

 private:
  const char* name_;
  std::atomic<Signature*> known_ = nullptr;
};

constinit Next<void*(void*, std::size_t, int, int, int, off64_t)> next_mmap("mmap64");
constinit Next<int(void*, std::size_t)> next_munmap("munmap");
constinit Next<void(void*)> next_register_frame("__register_frame");
constinit Next<void(void*)> next_deregister_frame("__deregister_frame");

// The state that libluajit calls for; nullptr: another caller, for instance a native structure that maps its memory
// while the plugin declares it.
MachineCode* state_of(const void* caller) noexcept {
  MachineCode* code = current_machine_code;
  if (code == nullptr) return nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(caller);
  const bool is_luajit =
      address >= luajit_begin.load(std::memory_order_relaxed) && address < luajit_end.load(std::memory_order_relaxed);
  return is_luajit ? code : nullptr;
}

struct Search {
  std::uintptr_t address;
  CodeRange found;
};

int find_code(dl_phdr_info* object, std::size_t, void* given) {
  auto& search = *static_cast<Search*>(given);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    const CodeRange range{begin, begin + segment.p_memsz};
    if (!range.contains(search.address)) continue;
    search.found = range;
    return 1;
  }
  return 0;
}

CodeRange code_around(std::uintptr_t address) {
  Search search{address, {}};
  dl_iterate_phdr(find_code, &search);
  return search.found;
}

}  // namespace

CodeRange luajit_code() {
  // By name: the address that the executable sees may be that of a stub of its own.
  const auto inside = reinterpret_cast<std::uintptr_t>(dlsym(RTLD_DEFAULT, "lua_newstate"));
  const CodeRange code = code_around(inside);
  if (code.end == 0 || code.contains(reinterpret_cast<std::uintptr_t>(&find_code))) {
    throw engine::SetupError(engine::ExitCode::bad_usage, "LuaJIT",
                             "is not a shared library: plugins could not be cut off",
                             "link the engine with libluajit-5.1.so");
  }
  luajit_begin = code.begin;
  luajit_end = code.end;
  return code;
}

bool MachineCode::contains(std::uintptr_t address) const noexcept {
  for (std::size_t i = 0; i < areas_.count; ++i) {
    const auto begin = reinterpret_cast<std::uintptr_t>(areas_.entries[i].at);
    if (address >= begin && address < begin + areas_.entries[i].bytes) return true;
  }
  return false;
}

void MachineCode::List::remove(const void* at) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    if (entries[i].at != at) continue;
    entries[i] = entries[--count];
    return;
  }
}

// Frames first: the unwinder reads them where they lie, in the areas.
void MachineCode::discard() noexcept {
  while (frames_.count > 0) next_deregister_frame.get()(frames_.entries[--frames_.count].at);
  for (; areas_.count > 0; --areas_.count) {
    const Entry& area = areas_.entries[areas_.count - 1];
    next_munmap.get()(area.at, area.bytes);
  }
}

}  // namespace plugins

extern "C" {

[[gnu::visibility("default")]] void* mmap64(void* at, std::size_t bytes, int protection, int flags, int fd,
                                            off64_t offset) noexcept {
  plugins::MachineCode* code = plugins::state_of(__builtin_return_address(0));
  if (code != nullptr && !code->has_room()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  void* result = plugins::next_mmap.get()(at, bytes, protection, flags, fd, offset);
  if (code != nullptr && result != MAP_FAILED) code->add_area(result, bytes);
  return result;
}

[[gnu::visibility("default")]] int munmap(void* at, std::size_t bytes) noexcept {
  if (plugins::MachineCode* code = plugins::state_of(__builtin_return_address(0))) code->remove_area(at);
  return plugins::next_munmap.get()(at, bytes);
}

[[gnu::visibility("default")]] void __register_frame(void* frame) {
  if (plugins::MachineCode* code = plugins::state_of(__builtin_return_address(0))) code->add_frame(frame);
  plugins::next_register_frame.get()(frame);
}

[[gnu::visibility("default")]] void __deregister_frame(void* frame) {
  if (plugins::MachineCode* code = plugins::state_of(__builtin_return_address(0))) code->remove_frame(frame);
  plugins::next_deregister_frame.get()(frame);
}

}  // extern "C"
