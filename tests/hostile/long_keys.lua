-- Long texts as keys, over and over: the time goes into native code, which is never cut off.
-- ends: died
local c, t, d = engine.counter { name = "c" }, engine.topk { name = "t" }, engine.distinct { name = "d" }
local s, m = engine.set {}, engine.map { fields = { { "n", "string", 1024 } } }
local piece = ("a"):rep(1000000)
function on_packet(p)
  if p.queue ~= 9 then return end
  local text = piece .. piece .. piece .. piece
  while true do
    c:add(text) t:add(text) d:add(text) s:add(text)
    m:put(text).n = text
  end
end
