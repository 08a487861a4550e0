-- Addresses and networks. p.src and p.dst are references into the packet: valid as long as the packet is.

local core = ...
local ffi, natives, show = core.ffi, core.natives, core.show
local istype, ffi_string = ffi.istype, ffi.string
local band = bit.band
local type, error, floor, find = type, error, math.floor, string.find

local addr_t = ffi.typeof("struct engine_addr")
local net_t = ffi.typeof("struct engine_net")
core.addr_t, core.net_t = addr_t, net_t

-- Network masks by prefix length of 128, as the two words of an address in memory order.
local mask_bytes = ffi.new("uint8_t[129][16]")
for prefix = 0, 128 do
  for bit_number = 0, prefix - 1 do
    local at = floor(bit_number / 8)
    mask_bytes[prefix][at] = mask_bytes[prefix][at] + 2 ^ (7 - bit_number % 8)
  end
end
local masks = ffi.cast("const uint64_t (*)[2]", mask_bytes)
core.masks, core.masks_owner = masks, mask_bytes

-- ::ffff:0:0/96 (RFC 4291, section 2.5.5.2): bytes 8 to 11 are 0 0 ff ff, read as a little-endian word.
local function is_v4(a) return a._hi == 0 and band(a._lo, 0xffffffffULL) == 0xffff0000ULL end

-- Parsed once per text: a literal in on_packet costs a table lookup. Texts made at run time must not pile up.
local function memoised(parse)
  local known, count = {}, 0
  return function(text)
    local value = known[text]
    if value then return value end
    value = parse(text)
    if value == nil then return nil end
    if count == 4096 then known, count = {}, 0 end
    known[text], count = value, count + 1
    return value
  end
end

local parse_ip, parse_net = natives.parse_ip, natives.parse_net

local ip_of = memoised(function(text)
  if find(text, "\0", 1, true) then return nil end -- C would see the text end there
  local parsed = ffi.new(addr_t)
  if parse_ip(text, parsed) then return parsed end
end)

local net_of = memoised(function(text)
  if find(text, "\0", 1, true) then return nil end
  local first = ffi.new(addr_t)
  local prefix = parse_net(text, first)
  if prefix < 0 then return nil end
  local mask = masks[prefix]
  return net_t(band(first._hi, mask[0]), band(first._lo, mask[1]), mask[0], mask[1], prefix)
end)

core.net_of = net_of

-- What ip"10.0.0.1" does: `ip` is a table, the standard library's, that can be called.
function core.ip_call(_, text)
  if type(text) ~= "string" then error('ip: a text expected, as in ip"10.0.0.1", got ' .. show(text), 2) end
  return ip_of(text) or error("ip: " .. show(text) .. " is no address", 2)
end

function core.net(text)
  if type(text) ~= "string" then error('net: a text expected, as in net"10.0.0.0/8", got ' .. show(text), 2) end
  return net_of(text) or error("net: " .. show(text) .. " is no network", 2)
end

local function bad_self(name) error("call it as address:" .. name .. "(...)", 3) end

local methods = {}

function methods.in_net(a, network)
  if not istype(addr_t, a) then bad_self("in_net") end
  if type(network) == "string" then network = core.net(network) end
  if not istype(net_t, network) then error('in_net: a net"..." expected, got ' .. show(network), 2) end
  return band(a._hi, network._mask_hi) == network._first_hi and band(a._lo, network._mask_lo) == network._first_lo
end

function methods.prefix(a, bits)
  if not istype(addr_t, a) then bad_self("prefix") end
  if type(bits) ~= "number" or not (bits >= 0 and bits <= 128) or floor(bits) ~= bits then
    error("prefix: a whole number of bits expected, got " .. show(bits), 2)
  end
  if is_v4(a) then
    if bits > 32 then error("prefix: an IPv4 address has 32 bits", 2) end
    bits = bits + 96
  end
  return addr_t(band(a._hi, masks[bits][0]), band(a._lo, masks[bits][1]))
end

function methods.key(a)
  if not istype(addr_t, a) then bad_self("key") end
  return ffi_string(a, 16)
end

function methods.copy(a)
  if not istype(addr_t, a) then bad_self("copy") end
  return addr_t(a._hi, a._lo)
end

local buffer = ffi.new("char[64]")
local format_ip = natives.format_ip

local function address_text(a) return ffi_string(buffer, format_ip(a, buffer)) end
core.address_text = address_text

function methods.tostring(a)
  if not istype(addr_t, a) then bad_self("tostring") end
  return address_text(a)
end

ffi.metatype(addr_t, {
  __index = core.closed(methods, "an address"),
  __newindex = function() error("an address is read-only", 2) end,
  __tostring = address_text,
  __eq = function(a, b)
    if istype(addr_t, a) and istype(addr_t, b) then return a._hi == b._hi and a._lo == b._lo end
    -- By type: == would come here again.
    if type(a) == "nil" or type(b) == "nil" then return false end
    error('an address is compared with an address, as in p.src == ip"10.0.0.1"', 2)
  end,
})

local function net_text(n)
  local prefix, first = n._prefix, addr_t(n._first_hi, n._first_lo)
  if is_v4(first) and prefix >= 96 then prefix = prefix - 96 end
  return address_text(first) .. "/" .. prefix
end
core.net_text = net_text

local net_methods = {}
function net_methods.contains(n, a)
  if not istype(net_t, n) or not istype(addr_t, a) then error("net:contains(address) expects an address", 2) end
  return methods.in_net(a, n)
end
function net_methods.tostring(n)
  if not istype(net_t, n) then error("call it as net:tostring()", 2) end
  return net_text(n)
end
ffi.metatype(net_t, {
  __index = core.closed(net_methods, "a network"),
  __newindex = function() error("a network is read-only", 2) end,
  __tostring = net_text,
  __eq = function(a, b)
    if istype(net_t, a) and istype(net_t, b) then
      return a._first_hi == b._first_hi and a._first_lo == b._first_lo and a._prefix == b._prefix
    end
    if type(a) == "nil" or type(b) == "nil" then return false end
    error('a network is compared with a network, as in net"10.0.0.0/8"', 2)
  end,
})
