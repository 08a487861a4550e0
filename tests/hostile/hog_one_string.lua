-- One string, doubled until the memory ends.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  local s = "x" while true do s = s .. s end
end
