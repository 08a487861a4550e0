-- rate as a plugin sees it, and the calls of its on_above between batches.

local core = ...
local ffi, show = core.ffi, core.show
local istype, ffi_string = ffi.istype, ffi.string
local type, error, rawget, floor = type, error, rawget, math.floor
local packet_t, addr_t, value_key, packet_time = core.packet_t, core.addr_t, core.value_key, core.packet_time
local bad_call, handle_type = core.bad_call, core.handle_type
local n = core.groups.table
local rate_add, rate_rate, rate_add_value, rate_rate_value = n.rate_add, n.rate_rate, n.rate_add_value, n.rate_rate_value
local rate_count, rate_next = n.rate_count, n.rate_next
local rate_t, value_rate_t

local function not_taken(what, key) error(what .. ": this rate's keys are of another kind, got " .. show(key), 3) end

local function count_fields(rate)
  if not istype(rate_t, rate) then error("call it as rate:count()", 2) end
  return rate_count(rate)
end
local function count_values(rate)
  if not istype(value_rate_t, rate) then error("call it as rate:count()", 2) end
  return rate_count(rate)
end

rate_t = handle_type("struct engine_rate", "rate", {
  add = function(rate, p)
    if not istype(rate_t, rate) or not istype(packet_t, p) then bad_call(istype(rate_t, rate), "rate", "add", p) end
    rate_add(rate, p)
  end,
  rate = function(rate, p)
    if not istype(rate_t, rate) or not istype(packet_t, p) then bad_call(istype(rate_t, rate), "rate", "rate", p) end
    return rate_rate(rate, p)
  end,
  count = count_fields,
}, count_fields)

value_rate_t = handle_type("struct engine_value_rate", "rate", {
  add = function(rate, key, times)
    if not istype(value_rate_t, rate) then error("call it as rate:add(key, n)", 2) end
    if times == nil then times = 1 end
    if type(times) ~= "number" or not (times >= 0 and times <= 9007199254740992) or floor(times) ~= times then
      error("rate:add: a whole number that is not negative expected, got " .. show(times), 2)
    end
    local kind, bytes, length, number = value_key("rate:add", key)
    if not rate_add_value(rate, kind, bytes, length, number, times, packet_time()) then not_taken("rate:add", key) end
  end,
  rate = function(rate, key)
    if not istype(value_rate_t, rate) then error("call it as rate:rate(key)", 2) end
    local kind, bytes, length, number = value_key("rate:rate", key)
    local now = rate_rate_value(rate, kind, bytes, length, number, packet_time())
    if now < 0 then not_taken("rate:rate", key) end
    return now
  end,
  count = count_values,
}, count_values)

local event = ffi.new("struct engine_rate_event")

local function field_of(name)
  local value = event.packet[name]
  if istype(addr_t, value) then return addr_t(value._hi, value._lo) end
  return value
end

-- The key of the event as the plugin gets it: a value, the one field's value, or a table of fields by name.
local function event_key(fields)
  if event.kind == 1 then return ffi_string(event.text, event.length) end
  if event.kind == 2 then return event.number end
  if event.kind == 3 then return addr_t(event.address._hi, event.address._lo) end
  if #fields == 1 then return field_of(fields[1]) end
  local key = {}
  for i = 1, #fields do key[fields[i]] = field_of(fields[i]) end
  return key
end

function core.rate(options)
  core.check_options("rate", options, { "name", "key", "window", "above", "on_above", "max" }, 2)
  local name, above, on_above = rawget(options, "name"), rawget(options, "above"), rawget(options, "on_above")
  core.check_name("rate", name, 3)
  local key, key_kind = core.check_any_key("rate", rawget(options, "key"), 2)
  local window = core.check_real("rate", "window", rawget(options, "window"), 1, 0.001, 86400, 2)
  if above == nil then error("rate: above is missing: the rate per second from which a key is told", 2) end
  core.check_real("rate", "above", above, nil, 1e-6, 1e15, 2)
  if on_above ~= nil and type(on_above) ~= "function" then
    error("rate: on_above is a function(key, rate), got " .. show(on_above), 2)
  end
  local max = core.check_number("rate", "max", rawget(options, "max"), 65536, 1, 1048576, 2)
  local address = core.declare("rate", { name = name, key = key, key_kind = key_kind, window = window, above = above,
    max = max, told = on_above ~= nil }, 2)
  local handle = ffi.cast(key and rate_t or value_rate_t, address)
  if on_above then
    core.on_pending(function()
      while rate_next(handle, event) do on_above(event_key(key), event.rate) end
    end)
  end
  return handle
end
