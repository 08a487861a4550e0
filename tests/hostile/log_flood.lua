-- The log flooded: from every packet, with long texts, zeros, line ends, escapes of a terminal.
-- ends: running
local probe = require "probe"
local text = "\27[2J\0\n\r\"}{" .. ("x"):rep(100000)
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  for i = 1, 20 do
    engine.log("error", text)
    print(text, p, engine, nil)
    engine.log("debug", "%s %d", text, i)
  end
  for i, level in ipairs { "fatal", 1, -1, {}, p, "error\0" } do probe.fails("level " .. i, engine.log, level, "x") end
end
on_tick = probe.report
