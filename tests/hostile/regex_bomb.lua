-- A pattern that takes for ever.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  return string.find(("a"):rep(1000), ("a-"):rep(30) .. "b")
end
