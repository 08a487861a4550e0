-- More native structures than any memory holds.
-- ends: refused: map: not enough memory
local fields = {}
for i = 1, 60 do fields[i] = { "f" .. i, "string", 1024 } end
local all = {}
for i = 1, 100000 do all[i] = engine.map { fields = fields, max = 16777216 } end
function on_packet(p) end
