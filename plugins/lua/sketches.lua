-- distinct and histogram as a plugin sees them.

local core = ...
local ffi, show = core.ffi, core.show
local istype = ffi.istype
local type, error, rawget = type, error, rawget
local packet_t, value_key, bad_call, handle_type = core.packet_t, core.value_key, core.bad_call, core.handle_type
local natives = core.groups.sketch
local distinct_add, distinct_value, histogram_add = natives.distinct_add, natives.distinct_value, natives.histogram_add

local by_field_t, by_value_t, histogram_t

by_field_t = handle_type("struct engine_distinct", "distinct", {
  add = function(handle, p)
    if not istype(by_field_t, handle) or not istype(packet_t, p) then
      bad_call(istype(by_field_t, handle), "distinct", "add", p)
    end
    distinct_add(handle, p)
  end,
})

by_value_t = handle_type("struct engine_value_distinct", "distinct", {
  add = function(handle, key)
    if not istype(by_value_t, handle) then error("call it as distinct:add(key)", 2) end
    local kind, bytes, length, number = value_key("distinct:add", key)
    distinct_value(handle, kind, bytes, length, number)
  end,
})

histogram_t = handle_type("struct engine_histogram", "histogram", {
  add = function(handle, value)
    if not istype(histogram_t, handle) then error("call it as histogram:add(value)", 2) end
    if type(value) ~= "number" or not (value >= 0) then
      error("histogram:add: a number that is not negative expected, got " .. show(value), 2)
    end
    histogram_add(handle, value)
  end,
})

function core.distinct(options)
  core.check_options("distinct", options, { "name", "key" }, 2)
  local name = rawget(options, "name")
  core.check_name("distinct", name, 3)
  local key = core.check_key("distinct", rawget(options, "key"), 2)
  return ffi.cast(key and by_field_t or by_value_t, core.declare("distinct", { name = name, key = key }, 2))
end

function core.histogram(options)
  core.check_options("histogram", options, { "name", "max", "digits" }, 2)
  local name = rawget(options, "name")
  core.check_name("histogram", name, 3)
  local max = core.check_real("histogram", "max", rawget(options, "max"), 1e15, 1e-9, 1e15, 2)
  local digits = core.check_number("histogram", "digits", rawget(options, "digits"), 2, 1, 4, 2)
  return ffi.cast(histogram_t, core.declare("histogram", { name = name, max = max, digits = digits }, 2))
end
