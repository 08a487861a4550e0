-- Hooks and settings changed after the load; globals made, shadowed, taken away.
-- ends: running
local probe = require "probe"
function on_packet(p)
  for _, name in ipairs { "on_packet", "on_tick", "on_stop", "on_save", "filter", "uses", "interval", "other", "" } do
    if rawget(_G, name) == nil then probe.fails("set " .. name, function() _G[name] = print end) end
  end
  rawset(_G, "on_packet", nil)
  rawset(_G, "on_tick", function() end)
  rawset(_G, "on_packet", error)
  rawset(_G, "filter", 1)
end
on_tick = probe.report
