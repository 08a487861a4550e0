-- Memory that ends inside of pcall, again and again.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  while true do pcall(function() local t = {} while true do t = { t, t } end end) end
end
