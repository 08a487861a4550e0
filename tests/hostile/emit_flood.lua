-- As many results as fit, and more: the outbox filled from every packet.
-- ends: running
local probe = require "probe"
local record = engine.record { name = "flood", { "text", "string" } }
local text = ("x"):rep(60000)
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  for i = 1, 40 do record:emit(text) end
  for i = 1, 5 do engine.emit("flood", { text = text }) end
end
on_tick = probe.report
