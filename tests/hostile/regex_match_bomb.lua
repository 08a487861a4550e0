-- A pattern with captures that takes for ever, by match and gmatch.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  for a in string.gmatch(("x"):rep(2000), ("(.-)"):rep(20) .. "y") do end
end
