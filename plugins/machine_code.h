// The machine code that LuaJIT makes for one state: which executable areas there are, and their registrations with the
// unwinder.
//
// LuaJIT maps areas for its traces and tells libgcc how to unwind each (lj_mcode.c, lj_err_register_mcode in lj_err.c).
// A state that was cut off can't be closed, so nobody would give these back; and each that stays registered makes every
// C++ exception of the process slower, for ever. So this file stands between libluajit and mmap64, munmap,
// __register_frame and __deregister_frame: executables define these names before the libraries do. Calls on behalf of
// no state go straight on.
//
// Belongs to one state and so to one thread at a time; `current` is the state that this thread is inside of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace plugins {

class MachineCode {
 public:
  MachineCode() = default;
  ~MachineCode() { discard(); }
  MachineCode(const MachineCode&) = delete;
  MachineCode& operator=(const MachineCode&) = delete;

  // Called by signal handlers too.
  bool contains(std::uintptr_t address) const noexcept;

  // Unregisters and unmaps what is left: all of it if the state was not closed.
  void discard() noexcept;

  // What the four functions report. False: no room to note it, the area must not come to be.
  bool has_room() const noexcept { return areas_.count < kMost && frames_.count < kMost; }
  void add_area(void* at, std::size_t bytes) noexcept { areas_.add({at, bytes}); }
  void remove_area(const void* at) noexcept { areas_.remove(at); }
  void add_frame(void* frame) noexcept { frames_.add({frame, 0}); }
  void remove_frame(const void* frame) noexcept { frames_.remove(frame); }

  std::size_t areas() const noexcept { return areas_.count; }
  std::size_t frames() const noexcept { return frames_.count; }

 private:
  // 2 MiB of machine code (maxmcode, see loader.cpp) are at most 64 areas of 32 KiB.
  static constexpr std::size_t kMost = 128;

  struct Entry {
    void* at;
    std::size_t bytes;
  };
  struct List {
    std::array<Entry, kMost> entries;
    std::size_t count = 0;
    void add(Entry entry) noexcept {
      if (count < kMost) entries[count++] = entry;
    }
    void remove(const void* at) noexcept;
  };

  List areas_;
  List frames_;
};

// The state whose calls this thread is making; nullptr: none.
extern constinit thread_local MachineCode* current_machine_code;

class InState {
 public:
  explicit InState(MachineCode& code) noexcept : before_(current_machine_code) { current_machine_code = &code; }
  ~InState() { current_machine_code = before_; }
  InState(const InState&) = delete;
  InState& operator=(const InState&) = delete;

 private:
  MachineCode* const before_;
};

// Where libluajit's own code lies; an address inside of it is never inside another library. Throws engine::SetupError
// if LuaJIT is no library of its own: then nothing tells its code from the engine's.
struct CodeRange {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool contains(std::uintptr_t address) const noexcept { return address >= begin && address < end; }
};
CodeRange luajit_code();

}  // namespace plugins
