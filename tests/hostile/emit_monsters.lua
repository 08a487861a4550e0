-- engine.emit with cycles, depth, width, size, odd keys and values, names that would break the JSON.
-- ends: running
local probe = require "probe"
local emit = engine.emit
local cycle = {}
cycle.again = cycle
local list = { 1, 2 }
list[2] = list
local deep = {}
local at = deep
for i = 1, 100 do at.x = {} at = at.x end
local function object(key, value) return { [key] = value } end
local long = ("x"):rep(1000000) .. ("y"):rep(100000)
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  for i, bad in ipairs { cycle, list, deep, object(1.5, 1), object(true, 1), object(p, 1), object("f", print),
    object("c", coroutine.create(print)), object(2, 1), "text", 1, p, { [1] = 1, x = 2 }, { ts = 1 },
    { type = "x" }, { plugin = "y" }, object("h", object(-1, 1)) } do
    probe.fails("emit " .. i, emit, "bad", bad)
  end
  for i, name in ipairs { "", " ", 'a"b', "a\nb", "a\0b", "a\\", ("x"):rep(65), "é", {}, 1, p, "a,b", "a{" } do
    probe.fails("name " .. i, emit, name, { x = 1 })
  end
  emit("odd", { ['"}\n\0\\'] = '"}\n\0\1\127\255\\u0000', nan = 0 / 0, inf = 1 / 0, zero = -0, big = 1e308, small = 5e-324,
    int = 0xffffffffffffffffULL, neg = -1LL, addr = p.src, pay = p:payload(), packet = p, c = 1i })
  emit("meta", setmetatable({ a = { 1, 2 } }, { __index = error, __len = error, __tostring = error, __pairs = error }))
  probe.fails("long", emit, "long", { x = long })
  probe.fails("long key", emit, "long", { [long] = 1 })
end
on_tick = probe.report
