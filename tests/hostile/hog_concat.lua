-- A text made of a table of texts.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  local t = {} for i = 1, 100 do t[i] = ("x"):rep(1000000) end return table.concat(t)
end
