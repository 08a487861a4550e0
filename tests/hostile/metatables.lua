-- Metatables of everything that is shared: reading, replacing, writing through them.
-- ends: running
local probe = require "probe"
local counter, map = engine.counter { name = "c", key = "proto" }, engine.map { key = "src", fields = { { "n", "u32" } } }
local record = engine.record { name = "r", { "n", "u8" } }
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  local shared = { "text", p, p.src, p:payload(), net"10.0.0.0/8", counter, map, map:put(p), record, engine, _G, ip, eth,
    dns, 1ULL, 1i, print, coroutine.running(), eth.parse(p) }
  for i = 1, 19 do
    local value = shared[i]
    if value ~= nil then
      probe.gives_nothing("getmetatable " .. i, getmetatable, value)
      probe.fails("setmetatable " .. i, setmetatable, value, {})
      if type(value) ~= "table" then
        probe.fails("rawset " .. i, rawset, value, "x", 1)
        probe.fails("rawget " .. i, rawget, value, "x")
        probe.fails("next " .. i, next, value)
        probe.fails("ipairs " .. i, function() for _ in ipairs(value) do return true end error("none") end)
      end
      if i ~= 10 and i ~= 11 then
        probe.fails("write " .. i, function() value.x = 1 end)
        probe.fails("write number " .. i, function() value[1] = 1 end)
      end
    end
  end
  probe.fails("__index of strings", function() return ("x").__index end)
  probe.fails("gc", function() return ("x").gc.x end)
end
on_tick = probe.report
