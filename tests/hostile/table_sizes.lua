-- Tables asked for at sizes that wrap or exceed all memory.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  for _, a in ipairs { -1, -2 ^ 31, 2 ^ 31 - 1, 2 ^ 31, 2 ^ 32, 2 ^ 27, 2 ^ 26, 1e308, 0 / 0 } do
    for _, b in ipairs { 0, -1, -2 ^ 31, 2 ^ 31 - 1, 2 ^ 26, 2 ^ 32 + 1 } do pcall(table.new, a, b) end
  end
  local t = {}
  while true do t = { t, table.new(1000, 1000) } end
end
