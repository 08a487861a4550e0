-- A loop without an end.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  while true do end
end
