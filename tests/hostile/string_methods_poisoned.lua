-- Methods of the own string library replaced, in the hope that the library or other plugins call them.
-- ends: running
local probe = require "probe"
local stolen = 0
local function steal() stolen = stolen + 1 return "stolen" end
for _, library in pairs { string, table, math, bit, coroutine } do
  for name in pairs(library) do library[name] = steal end
end
for _, name in ipairs { "tostring", "type", "error", "pcall", "pairs", "next", "select", "unpack", "setmetatable",
  "getmetatable", "rawget", "tonumber" } do rawset(_G, name, steal) end
local record = engine.record { name = "r", { "text", "string" }, { "at", "ip" } }
local c = engine.counter { name = "c" }
function on_packet(p)
  record:emit("x", p.src)
  c:add(p.src)
  engine.log("debug", "%s %s", p.src, p)
  engine.emit("e", { list = { 1, 2, { a = "b" } }, n = 1.5 })
  local q = dns.parse(p)
  local name = q and q.qname
  local text = ("x"):rep(3) .. ("%d"):format(3)
  if text ~= "xxx3" then stolen = stolen + 1 end
end
function on_tick()
  probe.holds("nothing was called", stolen == 0)
  probe.report()
end
