-- More native structures than a process has mappings.
-- ends: refused: set: structures: a plugin has at most 128
for i = 1, 100000 do engine.set { key = "src", max = 1 } end
function on_packet(p) end
