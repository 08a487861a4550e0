-- Errors that are caught, for ever.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  local function f() pcall(error) return pcall(f) end while true do pcall(f) end
end
