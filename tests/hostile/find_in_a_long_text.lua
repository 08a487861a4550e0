-- Searches in a long text that spend their time in the C library, over and over.
-- ends: died
local piece = ("a"):rep(1000000)
function on_packet(p)
  if p.queue ~= 9 then return end
  local text = piece .. piece .. piece .. piece
  while true do string.find(text, "b", 1, true) end
end
