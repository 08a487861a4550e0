-- Recursion of every kind, each until it is refused, for ever.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  local function f(n) return 1 + f(n + 1) end local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k + 1] end while true do pcall(f, 1) pcall(function() return t[1] end) end
end
