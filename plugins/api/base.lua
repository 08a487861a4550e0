-- What of Lua itself a plugin has. The rest is absent: no files, processes, bytecode, debug, ffi.

local api = ...

api.section {
  title = "Lua",
  text = [[
LuaJIT's Lua 5.1. What is not listed is absent: files, processes, loading of code, `debug`, `jit`, `collectgarbage`; `ffi` is there
for trusted plugins only. `tostring` and `string.format` show no addresses of tables or functions; `getmetatable` works on the
plugin's own tables; `string.rep` and `string.format` are capped.]],
  base = {
    [""] = "assert error getmetatable ipairs next pairs pcall rawequal rawget rawset select setmetatable tonumber tostring "
      .. "type unpack xpcall _G _VERSION",
    bit = "arshift band bnot bor bswap lshift rol ror rshift tobit tohex bxor",
    coroutine = "create isyieldable resume running status wrap yield",
    math = "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min modf pi pow rad "
      .. "random randomseed sin sinh sqrt tan tanh",
    string = "byte char find format gmatch gsub len lower match rep reverse sub upper",
    table = "clear concat insert maxn move new remove sort unpack",
  },
  additions = {
    { "table.new(items: integer, names: integer): table", "A table with room for so many numbered and named members." },
    { "table.clear(t: table)", "Removes everything from the table, which keeps its room." },
    { "table.unpack(t: table, first?: integer, last?: integer): any", "The same as `unpack`." },
  },
}
