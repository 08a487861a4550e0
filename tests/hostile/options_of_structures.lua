-- Declarations with hostile options: sizes, names, keys, metatables that answer differently each time, texts with zeros.
-- ends: running
local probe = require "probe"
local calls = 0
local turning = setmetatable({}, { __index = function(_, key) calls = calls + 1 return calls % 2 == 0 and "x" or 1 / 0 end })
local kinds = { "counter", "topk", "distinct", "histogram", "map", "set", "nets", "rate", "record" }
local sizes = { 0, -1, 0.5, 0 / 0, 1 / 0, 2 ^ 31, 2 ^ 32, 2 ^ 53, 1e308, 1ULL, 1i, "1", {}, true, turning }
local names = { "", " ", "a b", 'a"', "a\0b", "a\n", ("n"):rep(65), {}, 1, true, "../x", turning }
local keys = { "", "srcc", "_off", "_place", "time\0", {}, { "src", "src" }, { {} }, { "src", 1 }, 1, true, turning, { turning },
  { "src", "dst", "src4", "dst4", "time" }, setmetatable({}, { __index = turning }) }
for _, kind in ipairs(kinds) do
  local make = engine[kind]
  for i, size in ipairs(sizes) do
    for _, option in ipairs { "max", "k", "digits", "window", "above", "ttl" } do
      probe.fails(kind .. " " .. option .. i, make, { name = "n", above = 1, fields = { { "n", "u32" } }, [option] = size, x = 1 })
      if kind ~= "record" and not (kind == "histogram" or kind == "rate" or kind == "map" or kind == "set") then
        probe.fails(kind .. " only " .. option .. i, make, { name = "n", [option] = size })
      end
    end
  end
  for i, name in ipairs(names) do probe.fails(kind .. " name " .. i, make, { name = name, above = 1, fields = { { "n", "u32" } }, { "a", "u8" } }) end
  if kind ~= "nets" and kind ~= "histogram" and kind ~= "record" then
    for i, key in ipairs(keys) do
      probe.fails(kind .. " key " .. i, make, { name = "k" .. i, key = key, above = 1, fields = kind == "map" and { { "n", "u32" } } or nil })
    end
  end
  for i, options in ipairs { 1, "x", print, 1ULL, true } do probe.fails(kind .. " options " .. i, make, options) end
  probe.fails(kind .. " none", make)
end
for i, fields in ipairs { {}, 1, { 1 }, { { "n" } }, { { "n", "u99" } }, { { "n\0", "u8" } }, { { "n", "u8" }, { "n", "u8" } },
  { { "n", "string", 0 } }, { { "n", "string", 1e9 } }, { { "n", "string", 0 / 0 } }, { turning },
  { { "n", "u8", 4 } }, { { "x' error()", "u8" } }, { { "n", { "u8" } } }, { { "%s%d", "u8" } } } do
  probe.fails("fields " .. i, engine.map, { fields = fields })
  probe.fails("record " .. i, engine.record, { name = "r", unpack(type(fields) == "table" and fields or {}) })
end
function on_packet(p)
  for _, kind in ipairs(kinds) do
    probe.fails("late " .. kind, engine[kind], { name = "late", above = 1, fields = kind == "map" and { { "n", "u32" } } or nil, kind == "record" and { "a", "u8" } or nil })
  end
end
on_tick = probe.report
