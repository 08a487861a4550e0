-- Everything in reach is cleared: the environment, the libraries, the engine's table, the arguments.
-- ends: running
local probe = require "probe"
local emit, table_clear, G, Engine = engine.emit, table.clear, _G, engine
local all = { _G, engine, string, table, math, bit, coroutine, args, dns, ip, tcp }
local c = engine.counter { name = "c", key = "proto" }
for i = 1, #all do table_clear(all[i]) end
function on_packet(p)
  c:add(p)
  local text = "x" .. p.len
end
function on_tick() emit("tried", { count = 1 }) end
