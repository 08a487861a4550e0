-- set and nets as a plugin sees them.

local core = ...
local ffi, show = core.ffi, core.show
local istype, ffi_string = ffi.istype, ffi.string
local band = bit.band
local type, error, rawget, tostring_raw, sort = type, error, rawget, tostring, table.sort
local packet_t, addr_t, net_t = core.packet_t, core.addr_t, core.net_t
local value_key, packet_time, bad_call, handle_type = core.value_key, core.packet_time, core.bad_call, core.handle_type
local n = core.groups.table

-- set ---------------------------------------------------------------------------------------------------------------

local set_add, set_has, set_add_value, set_has_value, set_count =
  n.set_add, n.set_has, n.set_add_value, n.set_has_value, n.set_count
local set_t, value_set_t

local function not_taken(what, key) error(what .. ": this set's keys are of another kind, got " .. show(key), 3) end

local function count_fields(set)
  if not istype(set_t, set) then error("call it as set:count()", 2) end
  return set_count(set)
end
local function count_values(set)
  if not istype(value_set_t, set) then error("call it as set:count()", 2) end
  return set_count(set)
end

set_t = handle_type("struct engine_set", "set", {
  add = function(set, p)
    if not istype(set_t, set) or not istype(packet_t, p) then bad_call(istype(set_t, set), "set", "add", p) end
    local added = set_add(set, p)
    if added == 2 then return nil end
    return added == 1
  end,
  has = function(set, p)
    if not istype(set_t, set) or not istype(packet_t, p) then bad_call(istype(set_t, set), "set", "has", p) end
    return set_has(set, p)
  end,
  count = count_fields,
}, count_fields)

value_set_t = handle_type("struct engine_value_set", "set", {
  add = function(set, key)
    if not istype(value_set_t, set) then error("call it as set:add(key)", 2) end
    local kind, bytes, length, number = value_key("set:add", key)
    local added = set_add_value(set, kind, bytes, length, number, packet_time())
    if added == 3 then not_taken("set:add", key) end
    if added == 2 then return nil end
    return added == 1
  end,
  has = function(set, key)
    if not istype(value_set_t, set) then error("call it as set:has(key)", 2) end
    local kind, bytes, length, number = value_key("set:has", key)
    local has = set_has_value(set, kind, bytes, length, number, packet_time())
    if has == 3 then not_taken("set:has", key) end
    return has == 1
  end,
  count = count_values,
}, count_values)

-- One item as text, and what it is where the text alone does not say.
local function item_text(what, item, level)
  if type(item) == "string" then return item end
  if type(item) == "number" and item - item == 0 then return ("%.17g"):format(item), "number" end
  if istype(addr_t, item) then return core.address_text(item) end
  if istype(net_t, item) then return core.net_text(item) end
  error(what .. ": an item is a text, a number, an address or a network, got " .. show(item), level + 1)
end

local function check_file(what, file, level)
  if file ~= nil and (type(file) ~= "string" or file == "") then
    error(what .. ": file is the name of a file beside the plugin, or a path from args, got " .. show(file), level + 1)
  end
end

function core.set(options)
  core.check_options("set", options, { "name", "key", "max", "ttl", "items", "file", "list" }, 2)
  local name, given, file, list = rawget(options, "name"), rawget(options, "items"), rawget(options, "file"), rawget(options, "list")
  if name ~= nil then core.check_name("set", name, 3) end
  local key, key_kind = core.check_any_key("set", rawget(options, "key"), 2)
  local max = core.check_number("set", "max", rawget(options, "max"), 65536, 1, 16777216, 2)
  local ttl = rawget(options, "ttl")
  if ttl ~= nil then core.check_real("set", "ttl", ttl, nil, 1e-6, 1e9, 2) end
  if ttl and name then error("set: with ttl it forgets, so there is no result to publish; leave out name or ttl", 2) end
  if given ~= nil and type(given) ~= "table" then error("set: items is a list, got " .. show(given), 2) end
  if list ~= nil and type(list) ~= "boolean" then error("set: list is true or false, got " .. show(list), 2) end
  check_file("set", file, 2)
  local items = {}
  for i = 1, #(given or {}) do
    local text, kind = item_text("set", rawget(given, i), 2)
    items[i] = { text = text, value = kind }
  end
  return ffi.cast(key and set_t or value_set_t, core.declare("set", { name = name, key = key, key_kind = key_kind,
    max = max, ttl = ttl or 0, items = items, file = file, list = list }, 2))
end

-- nets --------------------------------------------------------------------------------------------------------------

local nets_match, nets_add, nets_count, nets_tag, nets_find_tag =
  n.nets_match, n.nets_add, n.nets_count, n.nets_tag, n.nets_find_tag
local masks = core.masks
local nets_t, tagged_t
local length = ffi.new("uint32_t[1]")

local function is_nets(nets) return istype(nets_t, nets) or istype(tagged_t, nets) end

local function bad_match(nets, method, address)
  if not is_nets(nets) then error("call it as nets:" .. method .. "(...)", 3) end
  error("nets:" .. method .. ": an address expected, as p.src, got " .. show(address), 3)
end

local function has(nets, address)
  if not is_nets(nets) or not istype(addr_t, address) then bad_match(nets, "has", address) end
  return nets_match(nets, address) ~= 0
end

local function count(nets)
  if not is_nets(nets) then error("call it as nets:count()", 2) end
  return nets_count(nets)
end

local function net_of(net)
  if type(net) == "string" then net = core.net(net) end
  if not istype(net_t, net) then error('nets:add: a net"..." expected, got ' .. show(net), 3) end
  return net
end

nets_t = handle_type("struct engine_nets", "nets", {
  match = function(nets, address)
    if not istype(nets_t, nets) or not istype(addr_t, address) then bad_match(nets, "match", address) end
    local found = nets_match(nets, address)
    if found == 0 then return nil end
    local prefix = band(found, 255) - 1
    local mask = masks[prefix]
    return net_t(band(address._hi, mask[0]), band(address._lo, mask[1]), mask[0], mask[1], prefix)
  end,
  has = has,
  add = function(nets, net)
    if not istype(nets_t, nets) then error("call it as nets:add(net)", 2) end
    net = net_of(net)
    local added = nets_add(nets, net._first_hi, net._first_lo, net._prefix, 0)
    if added == 2 then return nil end
    return added == 1
  end,
  count = count,
}, count)

tagged_t = handle_type("struct engine_tagged_nets", "nets", {
  match = function(nets, address)
    if not istype(tagged_t, nets) or not istype(addr_t, address) then bad_match(nets, "match", address) end
    local found = nets_match(nets, address)
    if found == 0 then return nil end
    local text = nets_tag(nets, (found - band(found, 255)) / 256, length)
    return ffi_string(text, length[0])
  end,
  has = has,
  add = function(nets, net, tag)
    if not istype(tagged_t, nets) then error("call it as nets:add(net, tag)", 2) end
    net = net_of(net)
    local number = type(tag) == "string" and nets_find_tag(nets, tag, #tag) or -1
    if number < 0 then error("nets:add: a tag expected that one of its items has, got " .. show(tag), 2) end
    local added = nets_add(nets, net._first_hi, net._first_lo, net._prefix, number)
    if added == 2 then return nil end
    return added == 1
  end,
  count = count,
}, count)

function core.nets(options)
  core.check_options("nets", options, { "items", "file", "max" }, 2)
  local given, file = rawget(options, "items"), rawget(options, "file")
  local max = core.check_number("nets", "max", rawget(options, "max"), 4096, 1, 16777216, 2)
  if given ~= nil and type(given) ~= "table" then error("nets: items is a table, got " .. show(given), 2) end
  check_file("nets", file, 2)
  local items = {}
  for key, value in pairs(given or {}) do
    if type(key) == "number" then
      items[#items + 1] = { text = item_text("nets", value, 2) }
    else
      if type(value) ~= "string" or value == "" then
        error("nets: a network's tag is a text, as in ['10.0.0.0/8'] = 'lan', got " .. show(value), 2)
      end
      items[#items + 1] = { text = item_text("nets", key, 2), value = value }
    end
  end
  sort(items, function(a, b) return a.text < b.text end) -- pairs has no order of its own; the first of two equals counts
  local address = core.declare("nets", { items = items, file = file, max = max }, 2)
  return ffi.cast(n.nets_tagged(address) and tagged_t or nets_t, address)
end
