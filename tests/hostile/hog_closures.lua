-- Closures by the million.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  local t = {} for i = 1, 1e9 do t[i] = function() return i end end
end
