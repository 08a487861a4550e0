-- A loop in __tostring, called by the library.
-- ends: died
function on_packet(p)
  if p.queue ~= 9 then return end
  engine.log("info", setmetatable({}, { __tostring = function() while true do end end }))
end
