-- Values that a native store would wrap or misread, for each type of a record and of a map's fields.
-- ends: running
local probe = require "probe"
local kinds = { u8 = { -1, 256, 0.5, 0 / 0, 1 / 0, 1ULL, "1", true }, u16 = { -1, 65536, 0 / 0, 1i }, u32 = { -1, 2 ^ 32, 1.5 },
  u64 = { -1, 1.5, 0 / 0, 2 ^ 54, -1LL, 1i, "1" }, i64 = { 0 / 0, 2 ^ 54, 0xffffffffffffffffULL, 0.1 }, f64 = { "1", 1ULL, {} },
  bool = { 1, 0, "true" }, ip = { "10.0.0.1", 1, {}, 1ULL }, mac = { "12345", "1234567", 6, {} },
  time = { 0 / 0, 1 / 0, 1e19, 1ULL }, string = { 1, {}, true, 1ULL } }
local records, maps = {}, {}
for kind in pairs(kinds) do
  records[kind] = engine.record { name = "r_" .. kind, { "v", kind } }
  maps[kind] = engine.map { key = "src", fields = { { "v", kind, kind == "string" and 8 or nil } } }
end
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  for kind, bad in pairs(kinds) do
    local record, entry = records[kind], maps[kind]:put(p)
    for i = 1, #bad do
      probe.fails(kind .. " " .. i, record.emit, record, bad[i])
      probe.fails("map " .. kind .. " " .. i, function() entry.v = bad[i] end)
    end
    probe.fails(kind .. " nil", record.emit, record, nil)
    probe.fails("map " .. kind .. " nil", function() entry.v = nil end)
    probe.fails(kind .. " packet", record.emit, record, p)
    probe.fails(kind .. " two", record.emit, record, nil, 1)
    probe.fails(kind .. " other field", function() entry.w = 1 end)
    probe.fails(kind .. " number field", function() entry[1] = 1 end)
  end
  probe.fails("too long", records.string.emit, records.string, ("x"):rep(65536))
  maps.string:put(p).v = ("x"):rep(1000000)
  probe.holds("cut", maps.string:get(p).v == "xxxxxxxx")
  probe.fails("self", records.u8.emit, records.u16, 1)
  probe.fails("no self", records.u8.emit, 1)
end
on_tick = probe.report
