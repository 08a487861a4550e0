// Plugins that never come back, as the tables of the cut-off's tests: what runs away, where, and how it is compiled.
#pragma once

#include <string>
#include <string_view>

namespace lab {

// The body of a function that never returns; `x` is some value.
struct Runaway {
  const char* name;
  const char* body;
  bool trusted = false;
};

inline constexpr Runaway kRunaways[] = {
    {"Loop", "while true do end"},
    {"LoopWithWork", "local t, n = {}, 0 while true do n = n + 1 t[n % 64] = (t[n % 64] or 0) + n % 7 end"},
    {"LoopInACoroutine", "coroutine.wrap(function() while true do end end)()"},
    {"CoroutinesInALoop",
     "while true do local c = coroutine.create(function() coroutine.yield() error('x') end)"
     " coroutine.resume(c) coroutine.resume(c) end"},
    {"LoopInPcall", "while true do pcall(function() while true do end end) end"},
    {"ErrorsInPcall", "while true do pcall(error) end"},
    {"ErrorsInPcallInPcall", "local function f() pcall(error) return pcall(f) end while true do pcall(f) end"},
    {"LoopInAnXpcallHandler", "while true do xpcall(error, function() while true do end end) end"},
    {"ErrorsInAnXpcallHandler", "while true do xpcall(error, function() pcall(error) error('again') end) end"},
    {"Pattern", "while true do string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40)) end"},
    {"PatternOfStars", "while true do string.find(('a'):rep(3000), ('.-'):rep(30) .. 'b') end"},
    {"Gsub", "while true do string.gsub(('x'):rep(100000), '.', '%0%0') end"},
    {"Rep", "while true do local s = ('x'):rep(1000000) end"},
    {"Concat", "local s = '' while true do s = s .. 'x' if #s > 100000 then s = '' end end"},
    {"TableConcat", "local t = {} for i = 1, 1000 do t[i] = 'abc' .. i end while true do table.concat(t, ',') end"},
    {"SortWithAComparator", "while true do table.sort({ 3, 1, 2 }, function(a, b) while true do end end) end"},
    {"SortInALoop",
     "local t = {} for i = 1, 10000 do t[i] = i * 7919 % 10007 end while true do table.sort(t, function(a, b) "
     "return (a * 31 % 97) < (b * 31 % 97) end) end"},
    {"Tables", "while true do local t = {} for i = 1, 1000 do t[i] = { i } end end"},
    {"Closures", "local f while true do local n = 1 f = function() n = n + 1 return n end end"},
    {"Recursion", "local function f(n) return f(n + 1) + 1 end while true do pcall(f, 1) end"},
    {"TailCalls", "local function f() return f() end f()"},
    {"Metamethods",
     "local m = {} m.__index = function(t, k) return t[k + 1] end local t = setmetatable({}, m)"
     " while true do pcall(function() return t[1] end) end"},
    {"Format", "while true do string.format('%99.99f %s', 1 / 3, 'x') end"},
    {"Tostring", "local n = 0 while true do n = n + 1 local s = tostring(n) end"},
    {"Finalizer",
     "local function f() local n = 0 while true do n = n + 1 end end"
     " while true do for i = 1, 1000 do ffi.gc(ffi.new('int[4]'), f) end end",
     true},
    {"NativeFunctions", "while true do ip('10.1.2.3') end"},
};

// Where it runs away. `%` is the body.
struct Place {
  const char* name;
  const char* code;
  const char* told;  // what the message calls it
};

inline constexpr Place kPlaces[] = {
    {"Load", "local function run() % end run() function on_packet(p) end", "the load"},
    {"Start", "function on_start(info) % end function on_packet(p) end", "on_start"},
    {"Packet", "function on_packet(p) % end", "on_packet"},
    {"Batch", "function on_batch(b) % end", "on_batch"},
    {"Tick", "function on_packet(p) end function on_tick(now) % end", "on_tick"},
    {"Stop", "function on_packet(p) end function on_stop() % end", "on_stop"},
    {"Save", "function on_packet(p) end function on_save() % end", "on_save"},
    {"Callback",
     "local r = engine.rate { name = 'r', key = 'proto', above = 0.001, on_above = function(key, rate) % end }"
     " function on_packet(p) r:add(p) end",
     "a table's callback"},
};

inline std::string runaway_in(const Place& place, const Runaway& runaway) {
  std::string code = place.code;
  return code.replace(code.find('%'), 1, runaway.body);
}

}  // namespace lab
