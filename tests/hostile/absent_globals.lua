-- The names that would be a way out: loaders, files, processes, the debugger, the compiler, raw memory.
-- ends: running
local probe = require "probe"
local names = { "getfenv", "setfenv", "load", "loadstring", "loadfile", "dofile", "package", "module", "newproxy",
  "collectgarbage", "gcinfo", "debug", "io", "os", "jit", "ffi", "arg", "core", "host" }
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  for i = 1, #names do
    probe.fails(names[i], function() return _G[names[i]] end)
    probe.gives_nothing("raw " .. names[i], rawget, _G, names[i])
  end
  for _, name in ipairs { "dump", "buffer" } do probe.gives_nothing("string." .. name, rawget, string, name) end
  for _, name in ipairs { "foreach", "foreachi" } do probe.gives_nothing("table." .. name, rawget, table, name) end
end
on_tick = probe.report
