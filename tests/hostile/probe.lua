-- Not an attack: what the attacks share. Each thing that is tried is counted; what succeeds is told as "got".
local probe, got, tried = {}, {}, 0

function probe.got(what, value)
  if #got < 20 then got[#got + 1] = what .. ": " .. tostring(value) end
end

-- f(...) has to raise.
function probe.fails(what, f, ...)
  tried = tried + 1
  local done, value = pcall(f, ...)
  if done then probe.got(what, value) end
end

-- f(...) may do what it likes but give anything other than nil or false.
function probe.gives_nothing(what, f, ...)
  tried = tried + 1
  local done, value = pcall(f, ...)
  if done and value then probe.got(what, value) end
end

function probe.holds(what, truth)
  tried = tried + 1
  if not truth then probe.got(what, truth) end
end

-- An own on_tick calls it, or is it.
function probe.report()
  engine.emit("tried", { count = tried })
  for i = 1, #got do engine.emit("got", { what = got[i] }) end
end

return probe
