-- Tables of more flows than any memory holds.
-- ends: refused: flows: not enough memory
for i = 1, 128 do
  engine.flows { name = "f" .. i, max = 16777216 }
end
function on_packet(p) end
