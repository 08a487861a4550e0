-- A loop without an end in on_start.
-- ends: refused: on_start ran longer than its deadline
function on_start() while true do end end
function on_packet(p) end
