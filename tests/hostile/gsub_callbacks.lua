-- Callbacks of gsub and sort that yield, fail, recurse, and change what is being worked on.
-- ends: running
local probe = require "probe"
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  probe.fails("yield in gsub", string.gsub, "abc", ".", coroutine.yield)
  probe.fails("error in gsub", string.gsub, "abc", ".", error)
  local inside = coroutine.wrap(function() return string.gsub("abc", ".", coroutine.yield) end)
  probe.fails("yield in a coroutine's gsub", inside)
  local function deep(n) return (string.gsub("a", ".", function() return deep(n + 1) end)) end
  probe.fails("gsub in gsub", deep, 1)
  local list = {}
  for i = 1, 500 do list[i] = i * 7 % 501 end
  probe.fails("yield in sort", table.sort, { 3, 2, 1 }, coroutine.yield)
  probe.fails("error in sort", table.sort, { 3, 2, 1 }, error)
  pcall(table.sort, list, function() return true end)
  pcall(table.sort, list, function(a, b) list[#list] = nil return a and b and a < b end)
  pcall(table.sort, list, function(a, b) table.clear(list) return true end)
  pcall(table.sort, setmetatable({ 3, 2, 1 }, { __index = error, __newindex = error, __len = function() return 1e9 end }))
  probe.fails("template", string.gsub, "abc", "%w", "%9")
  for i, pattern in ipairs { "[", "%", "(", "%b", "[%", "(()", "%1", "[^" } do
    probe.fails("pattern " .. i, string.find, "abc", pattern)
  end
  for name, f in pairs { match = string.match, gsub = string.gsub, gmatch = function(...) return string.gmatch(...)() end } do
    for i, pattern in ipairs { ("("):rep(40), "%", "[a" } do probe.fails(name .. i, f, "aaa", pattern, "x") end
  end
end
on_tick = probe.report
