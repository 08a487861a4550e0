-- Comparators that sort with themselves as comparator.
-- ends: died
local function nested() table.sort({ 2, 1 }, nested) end
function on_packet(p) if p.queue == 9 then while true do pcall(nested) end end end
