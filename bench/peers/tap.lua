-- What the engine's analyzer does, as a tap of tshark: packets by protocol.
-- usage: tshark -q -n -r FILE -X lua_script:bench/peers/tap.lua
local protocol = Field.new("ip.proto")
local tap = Listener.new()
local packets, count = 0, {}

function tap.packet()
  packets = packets + 1
  local found = protocol()
  local key = found and found.value or 0
  count[key] = (count[key] or 0) + 1
end

function tap.draw() print("packets " .. packets) end
