-- engine.map: entries in native memory, read and written by code that is made for the map's fields.
--
-- An entry is no pointer but the number of a cursor, which the plugin can't reach: the row, the stamp of the row's life
-- and the packet it was got for. Each access checks both; a row's memory stays valid as long as its map. Cursors are not
-- made but taken in turn from a ring, so that no packet leaves garbage (made anew, each that lives across a native call
-- would be 40 bytes of it): a plugin can hold as many at once. One that is kept for long may have been taken again; all
-- packets but one in the ring's size tell. Rows are reached through the handle alone: after a reload it leads to the map
-- of the state before.
-- The code, with ctypes of its own, is made once per state and shape, and for the second map of the same shape once
-- more: what the warm-up compiled for the maps of its dry instances holds for the real ones.

local core = ...
local ffi, show, cell = core.ffi, core.show, core.cell
local type, error, rawget, concat, format, find = type, error, rawget, table.concat, string.format, string.find
local natives = core.groups.table
local types, type_names = core.types, core.type_names
local ring = 64

local tools = {
  istype = ffi.istype, band = bit.band, type = type, error = error, tonumber = tonumber, min = math.min, cell = cell,
  packet_t = core.packet_t, ffi_string = ffi.string, value_key = core.value_key, packet_time = core.packet_time,
  bad_call = core.bad_call, show = show, map_count = natives.map_count,
  map_get = natives.map_get, map_put = natives.map_put, map_delete = natives.map_delete,
  map_get_value = natives.map_get_value, map_put_value = natives.map_put_value,
  map_delete_value = natives.map_delete_value,
}
for name, tool in pairs(core.type_tools) do tools[name] = tool end

function tools.stale() error("an entry is used after its packet; get it again from the map", 4) end
function tools.gone() error("an entry is used after it was deleted or has expired", 4) end
function tools.not_taken(what, key) error(what .. ": this map's keys are of another kind, got " .. show(key), 3) end

-- How many bytes each type takes in an entry, and how it is read at `to + o`. Written as in a record; texts are cut.
local layout = {
  u8 = { 1, "return to[o]" }, u16 = { 2, "return cast(u16_p, to + o)[0]" }, u32 = { 4, "return cast(u32_p, to + o)[0]" },
  u64 = { 8, "return tonumber(cast(u64_p, to + o)[0])" }, i64 = { 8, "return tonumber(cast(i64_p, to + o)[0])" },
  f64 = { 8, "return cast(f64_p, to + o)[0]" }, time = { 8, "return cast(f64_p, to + o)[0]" },
  bool = { 1, "return to[o] ~= 0" }, mac = { 6, "return ffi_string(to + o, 6)" },
  ip = { 16, "local a = cast(u64_p, to + o) return addr_t(a[0], a[1])" },
  string = { 2, "return ffi_string(to + o + 2, cast(u16_p, to + o)[0])" },
}
local text_write = "if N > %d then N = %d end cast(u16_p, to + o)[0] = N; o = o + 2; "
  .. "if O == nil then copy(to + o, V, N) else copy(to + o, cell.frames + O, N) end"

-- The place of each field, the widest first so that all are aligned; and the entry's size.
local function arrange(fields)
  local at = 0
  for _, size_bytes in ipairs { 16, 8, 4, 2, 1, 6 } do
    for _, field in ipairs(fields) do
      if layout[field.type][1] == size_bytes then
        if field.type == "string" then at = at + at % 2 end
        field.at = at
        at = at + size_bytes + field.max_bytes
      end
    end
  end
  return at
end

local methods_by_field = [[
  local function get(m, p)
    if not istype(handle_t, m) or not istype(packet_t, p) then bad_call(istype(handle_t, m), "map", "get", p) end
    local i = next_cursor[0]
    if map_get(m, p, cursors + i) < 0 then return nil end
    return entry_at(i)
  end
  local function put(m, p)
    if not istype(handle_t, m) or not istype(packet_t, p) then bad_call(istype(handle_t, m), "map", "put", p) end
    local i = next_cursor[0]
    local found = map_put(m, p, cursors + i)
    if found < 0 then return nil, false end
    return entry_at(i), found == 1
  end
  local function delete(m, p)
    if not istype(handle_t, m) or not istype(packet_t, p) then bad_call(istype(handle_t, m), "map", "delete", p) end
    return map_delete(m, p) == 1
  end
]]
local methods_by_value = [[
  local function get(m, key)
    if not istype(handle_t, m) then error("call it as map:get(key)", 2) end
    local kind, bytes, length, number = value_key("map:get", key)
    local i = next_cursor[0]
    local found = map_get_value(m, kind, bytes, length, number, packet_time(), cursors + i)
    if found == -2 then not_taken("map:get", key) end
    if found < 0 then return nil end
    return entry_at(i)
  end
  local function put(m, key)
    if not istype(handle_t, m) then error("call it as map:put(key)", 2) end
    local kind, bytes, length, number = value_key("map:put", key)
    local i = next_cursor[0]
    local found = map_put_value(m, kind, bytes, length, number, packet_time(), cursors + i)
    if found == -2 then not_taken("map:put", key) end
    if found < 0 then return nil, false end
    return entry_at(i), found == 1
  end
  local function delete(m, key)
    if not istype(handle_t, m) then error("call it as map:delete(key)", 2) end
    local kind, bytes, length, number = value_key("map:delete", key)
    local deleted = map_delete_value(m, kind, bytes, length, number, packet_time())
    if deleted == -2 then not_taken("map:delete", key) end
    return deleted == 1
  end
]]

-- The source of a shape's functions: three methods, and reading and writing of an entry's fields by name. Constant
-- names are compared while a trace is recorded, not when it runs.
local function source_of(fields, by_field, place)
  local out = { "local tools = ...\n" }
  local function put(...) out[#out + 1] = format(...) end
  for name in pairs(tools) do put("local %s = tools.%s\n", name, name) end
  put([[
return function(cursors, next_cursor, entries, handle_t, names, unknown)
  local function entry_at(i)
    next_cursor[0] = band(i + 1, %d)
    cursors[i].generation, cursors[i].packet = cell.generation, cell.next
    return entries[i]
  end
]], ring - 1)
  out[#out + 1] = by_field and methods_by_field or methods_by_value
  put([[
  local function count(m)
    if not istype(handle_t, m) then error("call it as map:count()", 2) end
    return map_count(m)
  end
  local function row_of(e)
    local cursor = cursors + e._cursor
    if cursor.generation ~= cell.generation or cursor.packet ~= cell.next then stale() end
    local row = cursor.row
    if cast(u32_p, row + %d)[0] ~= cursor.stamp then gone() end
    return row
  end
  local function read(e, name)
    local to = row_of(e)
]], place.stamp)
  for _, field in ipairs(fields) do
    put("    if name == %q then local o = %d %s end\n", field.name, place.fields + field.at, layout[field.type][2])
  end
  put("    unknown(name)\n  end\n  local function write(e, name, v)\n    local to = row_of(e)\n")
  for i, field in ipairs(fields) do
    local kind = types[field.type]
    local function expand(text) return (text:gsub("%f[%u][VNO]%f[%U]", { V = "v", N = "n", O = "place" })) end
    put("    if name == %q then\n      local o = %d\n", field.name, place.fields + field.at)
    if kind.bytes then put("      local n, place = measure(v)\n") end
    local check, write = kind.check, kind.write
    if field.type == "string" then
      check, write = "N ~= nil", format(text_write, field.max_bytes, field.max_bytes)
    end
    put("      if not (%s) then bad('map', names[%d], '%s', v) end\n", expand(check), i, field.type)
    put("      %s\n      return\n    end\n", expand(write))
  end
  put("    unknown(name)\n  end\n  return get, put, delete, count, read, write\nend\n")
  return concat(out)
end

local makers, slots, slots_made = {}, {}, 0
core.members["a map"] = { "count", "delete", "get", "put" } -- each map has a type of its own, made when it is declared

-- The types and functions of the n-th map of this shape in an instance.
local function make_slot(shape, fields, by_field, place)
  slots_made = slots_made + 1
  local n = slots_made
  ffi.cdef(format("struct engine_map_%d; struct engine_map_%d_entry { const uint32_t _cursor; };", n, n))
  local entry = format("struct engine_map_%d_entry", n)
  local slot = { handle_t = ffi.typeof(format("struct engine_map_%d *", n)), numbers = ffi.new("uint32_t[?]", ring),
    cursors = ffi.new("struct engine_map_cursor[?]", ring) }
  local references, names, entries = ffi.cast(entry .. " *", slot.numbers), {}, {}
  for i, field in ipairs(fields) do names[i] = field.name end
  local function unknown(name)
    error("an entry has no field '" .. (type(name) == "string" and name or type(name)) .. "'"
            .. core.suggest(name, names) .. " (there are " .. concat(names, ", ") .. ")", 3)
  end
  if not makers[shape] then
    makers[shape] = assert(loadstring(source_of(fields, by_field, place), "=engine.map"))(tools)
  end
  local get, put, delete, count, read, write =
    makers[shape](slot.cursors, ffi.new("uint32_t[1]"), entries, slot.handle_t, names, unknown)
  core.handle_type(format("struct engine_map_%d", n), "map", { get = get, put = put, delete = delete, count = count }, count)
  ffi.metatype(entry, { __index = read, __newindex = write, __tostring = function() return "map entry" end })
  for i = 0, ring - 1 do slot.numbers[i], entries[i] = i, references[i] end
  return slot
end

-- Fields of native entries, as { "name", "type" } or { "name", "string", most bytes }; called by what the plugin called.
local function check_fields(what, option, given, most_bytes)
  if type(given) ~= "table" then error(what .. ": " .. option .. " is a list of { \"name\", \"type\" }, got " .. show(given), 3) end
  local fields, seen = {}, {}
  for i = 1, #given do
    local field = rawget(given, i)
    if type(field) ~= "table" then error(what .. ": field " .. i .. ' is not of the form { "name", "type" }', 3) end
    local name, kind, max_bytes = rawget(field, 1), rawget(field, 2), rawget(field, 3)
    if type(name) ~= "string" or not find(name, "^%a[%w_]*$") or #name > 64 then
      error(what .. ": field " .. i .. " has a bad name: " .. show(name), 3)
    end
    if seen[name] then error(what .. ": field '" .. name .. "' is given twice", 3) end
    if type(kind) ~= "string" or not types[kind] then
      error(what .. ": field '" .. name .. "' has no type " .. show(kind) .. core.suggest(kind, type_names)
              .. " (there are " .. concat(type_names, ", ") .. ")", 3)
    end
    for key in pairs(field) do
      if key ~= 1 and key ~= 2 and not (key == 3 and kind == "string") then
        error(what .. ": field '" .. name .. "': unknown option " .. show(key), 3)
      end
    end
    if kind == "string" then
      max_bytes = core.check_number(what, "the size of field '" .. name .. "', as in { \"" .. name .. '", "string", 64 },',
        max_bytes, nil, 1, most_bytes, 3)
    end
    seen[name] = true
    fields[i] = { name = name, type = kind, max_bytes = max_bytes or 0 }
  end
  if #fields > 60 then error(what .. ": at most 60 fields", 3) end
  return fields
end
core.check_fields, core.field_layout, core.text_write = check_fields, layout, text_write

function core.map(options)
  core.check_options("map", options, { "name", "key", "fields", "max", "ttl" }, 2)
  local name = rawget(options, "name")
  if name ~= nil then core.check_name("map", name, 3) end
  local key, key_kind = core.check_any_key("map", rawget(options, "key"), 2)
  local fields = check_fields("map", "fields", rawget(options, "fields"), 1024)
  if #fields == 0 then error("map: no fields; to know only what is in it, use engine.set", 2) end
  local max = core.check_number("map", "max", rawget(options, "max"), 65536, 1, 16777216, 2)
  local ttl = rawget(options, "ttl")
  if ttl ~= nil then core.check_real("map", "ttl", ttl, nil, 1e-6, 1e9, 2) end
  local entry_bytes, shape = arrange(fields), {}
  for i, field in ipairs(fields) do shape[i] = field.name .. " " .. field.type .. " " .. field.max_bytes end
  shape = concat(shape, ", ")
  local address = core.declare("map", { name = name, key = key, key_kind = key_kind, entry_bytes = entry_bytes, max = max,
    ttl = ttl or 0, layout = shape }, 2)
  local place = ffi.new("struct engine_map_layout")
  natives.map_layout(address, place)
  shape = shape .. (key and "; by field " or "; by value ") .. place.fields
  local used = core.current.maps or {}
  core.current.maps = used
  used[shape] = (used[shape] or 0) + 1
  local slot_name = shape .. " #" .. used[shape]
  local slot = slots[slot_name] or make_slot(shape, fields, key ~= nil, place)
  slots[slot_name] = slot
  return ffi.cast(slot.handle_t, address)
end
