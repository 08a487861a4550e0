-- A loop without an end in the chunk itself.
-- ends: refused: the load ran longer than its deadline
while true do end
