-- Coroutines: hooks yielded from, library functions as bodies, the running one resumed, died ones, metamethods that yield.
-- ends: running
local probe = require "probe"
local counter, map = engine.counter { name = "c", key = "proto" }, engine.map { key = "src", fields = { { "n", "u32" } } }
local suspended
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  probe.fails("yield", coroutine.yield, p)
  for i, f in ipairs { p.u8, counter.add, map.put, dns.parse, engine.emit, engine.log, p.src.key, tostring, string.format } do
    local thread = coroutine.create(f)
    coroutine.resume(thread, p, p, p)
    coroutine.resume(thread)
    probe.gives_nothing("dead " .. i, coroutine.resume, thread)
  end
  local wrapped = coroutine.wrap(counter.add)
  wrapped(counter, p)
  probe.fails("wrapped again", wrapped, counter, p)
  if suspended then
    coroutine.resume(suspended) -- of another packet
    suspended = nil
  else
    local entry, view = map:put(p), p:payload()
    suspended = coroutine.create(function()
      coroutine.yield()
      probe.fails("entry", function() entry.n = 5 end)
      probe.fails("view", function() return view:u8(0) end)
    end)
    coroutine.resume(suspended)
  end
  probe.gives_nothing("itself", coroutine.resume, coroutine.running() or coroutine.create(error))
  local t = setmetatable({}, { __index = coroutine.yield, __tostring = coroutine.yield })
  probe.fails("__index", function() return t.x end)
  probe.fails("__tostring", tostring, t)
  probe.fails("format", string.format, "%s", t)
  probe.fails("log", engine.log, "debug", t)
  coroutine.wrap(function() return tostring(t) end)()
  for i, bad in ipairs { 1, "x", {}, p, 1ULL } do
    probe.fails("create " .. i, coroutine.create, bad)
    probe.fails("wrap " .. i, coroutine.wrap, bad)
    probe.fails("resume " .. i, coroutine.resume, bad)
  end
end
on_tick = probe.report
