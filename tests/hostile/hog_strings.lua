-- Strings until the memory ends.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end
end
