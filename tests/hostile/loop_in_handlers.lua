-- A loop in the handler of an error in a coroutine in pcall.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  pcall(coroutine.wrap(function() xpcall(error, function() while true do end end) end))
end
