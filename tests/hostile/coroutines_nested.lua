-- Coroutines in coroutines, without an end.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  local function f() return coroutine.wrap(f)() end while true do pcall(f) end
end
