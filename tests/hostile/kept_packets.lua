-- Packets, addresses, views, protocol objects, map entries and batches kept beyond their packet, read much later.
-- ends: running
local probe = require "probe"
local map = engine.map { key = "src", fields = { { "n", "u32" }, { "text", "string", 32 } } }
local kept = {}
local function read_all()
  for i = 1, #kept do
    local old = kept[i]
    -- A kept packet reads whatever is there now: inside of its memory.
    local length = old.p.caplen
    for off = 0, length, 7 do local byte = old.p:u8(off) end
    local bytes = old.p:string(0, length)
    probe.holds("no more than captured", bytes == nil or #bytes == length)
    local text = tostring(old.p) .. tostring(old.src)
    if old.stale then
      probe.fails("view", old.view.u8, old.view, 0)
      probe.fails("view text", tostring, old.view)
      probe.fails("view length", function() return #old.view end)
      probe.fails("view ==", function() return old.view == "x" end)
      if old.eth then probe.fails("eth", function() return old.eth.src end)
      probe.fails("eth view", function() return old.eth.src_mac end) end
      probe.fails("entry", function() return old.entry.n end)
      probe.fails("entry write", function() old.entry.n = 1 end)
      if old.dns then
        probe.fails("dns", function() return old.dns.qname end)
        probe.fails("answer", function() return old.dns:answer(1) end)
      end
    end
  end
end
function on_packet(p)
  if #kept < 50 then
    kept[#kept + 1] = { p = p, src = p.src, view = p:payload(), eth = eth.parse(p), entry = map:put(p), dns = dns.parse(p) }
    return
  end
  for i = 1, #kept do kept[i].stale = true end
  if p._place % 16 == 0 then read_all() end
end
function on_tick()
  read_all()
  probe.report()
end
on_stop = read_all
