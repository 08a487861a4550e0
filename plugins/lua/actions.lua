-- What a plugin may ask of the kernel: `uses` declares it, engine.block, p:bypass and engine.rate_limit ask.

local core = ...
local ffi, binding, show, suggest = core.ffi, core.binding, core.show, core.suggest
local istype = ffi.istype
local type, error, pairs, next = type, error, pairs, next
local band, bor = bit.band, bit.bor
local concat, sort = table.concat, table.sort
local addr_t, net_t, packet_t = core.addr_t, core.net_t, core.packet_t

local bits = { block = ffi.C.ENGINE_USE_BLOCK, bypass = ffi.C.ENGINE_USE_BYPASS, rate = ffi.C.ENGINE_USE_RATE }
local names = {}
for name in pairs(bits) do names[#names + 1] = name end
sort(names)

-- What the list declares, as bits; or nil and what is wrong with it.
function core.read_uses(list)
  local declared = 0
  for key, name in next, list do
    if type(key) ~= "number" then return nil, "'uses' is a list of names, as in uses = { \"block\" }" end
    local found = type(name) == "string" and bits[name]
    if not found then
      return nil, "'uses': " .. show(name) .. " is unknown" .. suggest(name, names) .. " (there are " .. concat(names, ", ") .. ")"
    end
    declared = bor(declared, found)
  end
  return declared
end

-- The binding has it only once the plugin is loaded.
local function undeclared(name, call)
  if not core.current.loaded then error(call .. ": not while the plugin loads; call it in on_start or later", 3) end
  error(call .. ": the plugin does not declare that it uses this; add uses = { \"" .. name .. "\" }", 3)
end

local longest_s = 31536000

local function check_seconds(name, seconds)
  if type(seconds) ~= "number" or not (seconds > 0 and seconds <= longest_s) then
    error(name .. ": a number of seconds above 0, up to " .. longest_s .. ", expected, got " .. show(seconds), 3)
  end
end

local natives = core.groups.request
local block, bypass, limit_rate, net_of = natives.block, natives.bypass, natives.limit_rate, core.net_of
local use_block, use_bypass, use_rate = bits.block, bits.bypass, bits.rate

function core.block(target, seconds)
  if band(binding.uses, use_block) == 0 then undeclared("block", "engine.block") end
  check_seconds("engine.block", seconds)
  if istype(addr_t, target) then return block(binding, target._hi, target._lo, 128, seconds) end
  if type(target) == "string" then
    target = net_of(target) or error("engine.block: " .. show(target) .. " is no address or network", 2)
  end
  if not istype(net_t, target) then error("engine.block: an address or a network expected, got " .. show(target), 2) end
  return block(binding, target._first_hi, target._first_lo, target._prefix, seconds)
end

function core.packet_methods.bypass(p, seconds)
  if not istype(packet_t, p) then error("call it as p:bypass(...)", 2) end
  if band(binding.uses, use_bypass) == 0 then undeclared("bypass", "p:bypass") end
  check_seconds("p:bypass", seconds)
  return bypass(binding, p, seconds)
end

local highest_pps = 1000000000

function core.rate_limit(max_pps, seconds)
  if band(binding.uses, use_rate) == 0 then undeclared("rate", "engine.rate_limit") end
  if type(max_pps) ~= "number" or not (max_pps >= 1 and max_pps <= highest_pps) then
    error("engine.rate_limit: a number of packets from 1 to " .. highest_pps .. " expected, got " .. show(max_pps), 2)
  end
  check_seconds("engine.rate_limit", seconds)
  return limit_rate(binding, max_pps, seconds)
end
