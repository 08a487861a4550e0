-- Coroutines by the million, each suspended.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() coroutine.yield(t) end) coroutine.resume(t[i]) end
end
