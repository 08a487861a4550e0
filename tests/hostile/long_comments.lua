-- Long comments for captured packets, over and over.
-- ends: died
local piece = ("a"):rep(1000000)
function on_packet(p)
  if p.queue ~= 9 then return end
  while true do p:capture(piece) end
end
