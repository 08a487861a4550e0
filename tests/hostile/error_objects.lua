-- Errors that are no texts: tables whose __tostring fails, yields, lies; errors in errors; very long ones; a false place.
-- ends: quarantined
local objects = {
  setmetatable({}, { __tostring = function() error("again") end }), setmetatable({}, { __tostring = coroutine.yield }),
  setmetatable({}, { __tostring = function() return 1 end }), 1, true, print, coroutine.create(print), engine,
  ("x"):rep(1000000) .. "\n\0\"}", "engine/driver:1: no line", "engine/driver:", "eval:1: other", "a.lua:1: other", "" }
local n = 0
function on_packet(p)
  n = n + 1
  local object = objects[n % #objects + 1]
  if n % 3 == 0 then error(object, 0) end
  if n % 3 == 1 then xpcall(error, function(e) error(e) end, object) end
  error(object, n % 7)
end
function on_tick() error("engine/driver:1: of no packet", 0) end
