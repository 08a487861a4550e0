-- What structures with keys share: the options that say what a key is, and values as keys.

local core = ...
local ffi, show, cell, refs = core.ffi, core.show, core.cell, core.refs
local istype = ffi.istype
local type, error, rawget = type, error, rawget
local addr_t, view_t, check_view = core.addr_t, core.view_t, core.check_view

-- A value as native functions take it: kind, bytes, their number, number; see plugins/sketch_native.h. The caller is a
-- method that the plugin called.
function core.value_key(what, key)
  local kind = type(key)
  if kind == "string" then return 1, key, #key, 0 end
  if kind == "number" and key - key == 0 then return 2, nil, 0, key end -- NaN and infinities are no keys
  if istype(addr_t, key) then return 3, key, 16, 0 end
  if istype(view_t, key) then
    check_view(key, "add")
    return 1, cell.frames + key._off, key._len, 0
  end
  local advice = istype(core.packet_t, key) and '; for keys by packet field, give key = "field"' or ""
  error(what .. ": a key is a string, a number, an address or a view, got " .. show(key) .. advice, 3)
end

-- The time of the packet that a value comes from.
function core.packet_time() return refs[cell.next].time end

local kinds = { ip = true, number = true, string = true }
local names = { "ip", "number", "string" }
for _, name in ipairs(core.key_field_names) do names[#names + 1] = name end

-- A key given as packet fields (a list of them is returned), or as "ip", "number" or "string" (returned second), which
-- takes less memory than nil: values of any kind.
function core.check_any_key(what, key, level)
  if type(key) == "table" and rawget(key, 2) == nil and kinds[rawget(key, 1)] then key = rawget(key, 1) end
  if type(key) == "string" then
    if kinds[key] then return nil, key end
    if not core.key_fields[key] then
      error(what .. ": key '" .. key .. "' is unknown" .. core.suggest(key, names)
              .. ' (a packet field, or for values "ip", "number" or "string")', level + 1)
    end
  end
  return core.check_key(what, key, level + 1), nil
end

-- A number of seconds or the like between the limits, or the default.
function core.check_real(what, option, value, default, low, high, level)
  if value == nil then value = default end
  if type(value) ~= "number" or not (value >= low and value <= high) then
    error(what .. ": " .. option .. " is a number from " .. low .. " to " .. high .. ", got " .. show(value), level + 1)
  end
  return value
end

-- The error of a method that was called with the wrong self or with what is no packet: at the plugin's line.
function core.bad_call(handle_is_right, what, method, value)
  if not handle_is_right then error("call it as " .. what .. ":" .. method .. "(...)", 3) end
  error(what .. ":" .. method .. " takes a packet (its keys are packet fields), got " .. show(value), 3)
end

-- The type of a handle, whose methods are these.
function core.handle_type(ctype, what, methods, length)
  ffi.metatype(ctype, {
    __index = core.closed(methods, "a " .. what),
    __newindex = function() error("a " .. what .. " is read-only", 2) end,
    __tostring = function() return what end,
    __len = length,
  })
  return ffi.typeof(ctype .. " *")
end
