-- A loop in the C library over two thousand million places.
-- ends: died
function on_packet(p)
  if p.queue == 9 then while true do pcall(table.insert, { 1 }, -2 ^ 31, 1) pcall(table.move, { 1 }, 1, 2 ^ 31 - 2, 2) end end
end
