-- Long texts for the log, over and over.
-- ends: died
local piece = ("\1"):rep(1000000)
function on_packet(p)
  if p.queue ~= 9 then return end
  local text = piece .. piece
  while true do engine.log("info", text) engine.log("info", "%s", text) end
end
