-- Flow tables: views kept beyond their packet, foreign selves, hostile values for own fields, flows added in on_end.
-- ends: running
local probe = require "probe"
local kept, kept_packet, ended = nil, nil, 0
local other = engine.flows { name = "other", user = { { "n", "u8" } } }
local flows
flows = engine.flows { idle = 0.01, active = 0.02, max = 4, user = { { "n", "u8" }, { "text", "string", 8 }, { "at", "ip" } },
  on_end = function(f)
    ended = ended + 1
    local text = f.src:tostring() .. f.community_id .. f.flow_id .. f.reason .. (f.user.text or "")
    if kept_packet and ended % 64 == 0 then flows:add(kept_packet) end
    kept = f
    probe.fails("write", function() f.packets = 1 end)
    if ended % 100 == 0 then error("of on_end") end
  end }
function on_packet(p)
  local f, g = flows:add(p), other:add(p)
  kept_packet = p
  if not f or not g or p._place % 16 ~= 1 then return end
  for i, bad in ipairs { -1, 256, 0.5, 0 / 0, 1 / 0, 1ULL, 1i, "1", {}, true, p } do
    probe.fails("n " .. i, function() f.user.n = bad end)
    probe.fails("at " .. i, function() f.user.at = bad end)
    probe.fails("field " .. i, function() f.user[bad] = 1 end)
    probe.fails("name " .. i, function() return f[bad] end)
    probe.fails("add " .. i, flows.add, bad, p)
    probe.fails("packet " .. i, flows.add, flows, i < 11 and bad or nil)
  end
  f.user.text = ("x"):rep(1000000)
  f.user.text = p:payload()
  probe.holds("cut", #f.user.text <= 8)
  probe.fails("foreign", flows.add, other, p)
  probe.fails("count", flows.count, other)
  probe.gives_nothing("metatable", getmetatable, f)
  probe.gives_nothing("metatable of user", getmetatable, f.user)
  probe.fails("setmetatable", setmetatable, f.user, {})
  rawset(f, "packets", -1)
  rawset(f.user, "n", {})
  table.clear(f)
  table.clear(f.user)
end
function on_tick()
  probe.fails("kept", function() return kept.src end)
  probe.fails("kept user", function() kept.user.n = 1 end)
  probe.holds("some ended", ended > 0)
  probe.report()
end
