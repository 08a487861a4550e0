// A state takes its seat at a worker: between two batches, on the worker's thread. What the plugin saved in the state
// before it is copied from one Lua state to the other, plain values only.
#include <cstring>

#include "plugins/files.h"
#include "plugins/impl.h"
#include "plugins/watchdog.h"

namespace plugins {
namespace {

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxValues = 1u << 20;

// Copies the value at `place` of `from` to the top of `to`. What is no plain value fails. `to` may leave by a jump when
// its memory ends, so nothing here has a destructor; `from` allocates nothing: only strings are read as strings.
class ValueCopy {
 public:
  // It can't be cut off, so it looks itself whether the deadline has passed: as text by text, each may be megabytes
  // long.
  ValueCopy(lua_State* from, lua_State* to, const volatile std::uint32_t& expired) noexcept
      : from_(from), to_(to), expired_(expired) {}

  const char* problem() const noexcept { return problem_; }

  bool copy(int place, int depth) noexcept {
    if (++values_ > kMaxValues) return fail("holds too many values");
    if (expired_ != 0) return fail("takes longer to copy than the deadline");
    switch (lua_type(from_, place)) {
      case LUA_TBOOLEAN:
        lua_pushboolean(to_, lua_toboolean(from_, place));
        return true;
      case LUA_TNUMBER:
        lua_pushnumber(to_, lua_tonumber(from_, place));
        return true;
      case LUA_TSTRING: {
        std::size_t length = 0;
        const char* text = lua_tolstring(from_, place, &length);
        lua_pushlstring(to_, text, length);
        return true;
      }
      case LUA_TTABLE:
        return copy_table(place < 0 ? lua_gettop(from_) + place + 1 : place, depth);
      default:
        return fail("holds what is no boolean, number, string or table");
    }
  }

 private:
  bool copy_table(int place, int depth) noexcept {
    if (depth == kMaxDepth) return fail("is nested too deeply");
    if (lua_checkstack(from_, 4) == 0 || lua_checkstack(to_, 4) == 0) return fail("is nested too deeply");
    lua_newtable(to_);
    lua_pushnil(from_);
    while (lua_next(from_, place) != 0) {
      const int value = lua_gettop(from_);
      if (!copy(value - 1, depth + 1) || !copy(value, depth + 1)) return false;
      lua_rawset(to_, -3);
      lua_settop(from_, value - 1);
    }
    return true;
  }

  bool fail(const char* problem) noexcept {
    problem_ = problem;
    return false;
  }

  lua_State* from_;
  lua_State* to_;
  const volatile std::uint32_t& expired_;  // set by a signal's handler in this thread
  std::size_t values_ = 0;
  const char* problem_ = "";
};

}  // namespace

// Leaves what on_save returned on top of the stack, or nil.
bool State::Impl::save(std::string& problem) noexcept {
  const Loan loan(*this);
  entered = "on_save";
  begin_crossing(0);
  shared.cell.next = bound.capacity;
  int status = kDead;
  guarded([&] {
    lua_getfield(L, kInstance, "settings");
    lua_getfield(L, -1, "on_save");
    lua_remove(L, -2);
    status = lua_isnil(L, -1) ? 0 : lua_pcall(L, 0, 1, 0);
  });
  if (dead) {
    problem = death_text();
    return false;
  }
  if (status != 0) {
    problem = "on_save: " + error_text();
    lua_pop(L, 1);
    return false;
  }
  if (lua_isnil(L, -1) || lua_istable(L, -1)) return true;
  problem = std::string("on_save returned a ") + luaL_typename(L, -1) + "; it returns a table of plain values";
  lua_pop(L, 1);
  return false;
}

// on_start, with what `before` has on top of its stack as info.saved.
bool State::Impl::start(Impl* before, std::string& problem) noexcept {
  const Loan loan(*this);
  entered = "on_start";
  begin_crossing(0);
  shared.cell.next = bound.capacity;
  int status = kDead;
  const char* not_plain = nullptr;
  guarded([&] {
    lua_getfield(L, kCore, "take_seat");
    lua_pushnumber(L, bound.worker);
    status = lua_pcall(L, 1, 0, 0);
    if (status != 0) return;
    lua_getfield(L, kCore, "set_epoch");
    lua_pushvalue(L, kInstance);
    status = lua_pcall(L, 1, 0, 0);
    if (status != 0) return;
    lua_getfield(L, kInstance, "settings");
    lua_getfield(L, -1, "on_start");
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) return lua_pop(L, 1);
    push_info(L, bound);
    if (before != nullptr && lua_istable(before->L, -1)) {
      ValueCopy saved(before->L, L, shared.expired);
      this_post.held = true;  // a cut would stop in the middle of the other state's call, and that one goes on
      const bool copied = saved.copy(-1, 0);
      this_post.held = false;
      if (!copied) {
        not_plain = saved.problem();
        return;
      }
      lua_setfield(L, -2, "saved");
    }
    status = lua_pcall(L, 1, 0, 0);
  });
  if (not_plain != nullptr) {
    problem = std::string("what on_save returned ") + not_plain;
  } else if (dead) {
    problem = death_text();
  } else if (status != 0) {
    problem = error_text();
    lua_pop(L, 1);
  }
  return status == 0 && !dead && not_plain == nullptr;
}

bool State::Impl::take_seat(const Seat& seat, Impl* before, std::string& problem) noexcept {
  int top = 0;
  if (before != nullptr) {
    top = lua_gettop(before->L);
    if (!before->save(problem)) return false;
  }
  static_cast<Seat&>(bound) = seat;
  shared.packets = seat.packets;
  shared.cell.frames = seat.frames;
  shared.epoch_ns = seat.epoch_ns;
  for (Structure* structure : instance.structures)
    if (Table* table = structure->table()) table->seat(seat.epoch_ns, seat.directions_split);
  shared.marks = reinterpret_cast<engine_marks*>(seat.marks);
  shared.requests = reinterpret_cast<engine_requests*>(seat.requests);
  loading = seating = true;
  const bool started = start(before, problem);
  loading = seating = false;
  if (before != nullptr) lua_settop(before->L, top);
  if (started) own_packets.reset();
  return started;
}

}  // namespace plugins
