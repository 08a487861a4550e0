-- engine.flows: the flow table, and the view of one flow that add() and on_end give.
--
-- A view is a proxy without content, one per table: its functions hold the cursor that native code sets, which no plugin
-- can reach, and check at each access that it was set for this packet. The code for the plugin's own fields is made once
-- per state and shape, so that what the warm-up compiled holds for the real instance too.

local core = ...
local ffi, show, cell = core.ffi, core.show, core.cell
local istype, ffi_string = ffi.istype, ffi.string
local type, error, rawget, tonumber, ipairs, pairs = type, error, rawget, tonumber, ipairs, pairs
local concat, format, sort, band = table.concat, string.format, table.sort, bit.band
local setmetatable = setmetatable
local packet_t, addr_t, types, bad_call = core.packet_t, core.addr_t, core.types, core.bad_call
local n = core.groups.flow
local add_native, next_native, count_native = n.add, n.next_ended, n.count
local flow_id, community_id, rtt_responder, rtt_initiator = n.flow_id, n.community_id, n.rtt_responder, n.rtt_initiator
assert(ffi.sizeof("struct engine_flow") == 192, "the Lua library does not fit this engine: engine_flow")

-- The fields of a view ------------------------------------------------------------------------------------------------

local states = { [0] = "new", "syn_sent", "syn_received", "established", "closing", "closed", "reset" }
local reasons = { [0] = "idle", "active", "fin", "rst", "evicted", "end" }
local text = ffi.new("char[32]")

local function initiator(flow) return band(flow.marks, 1) end
local function ms(responder_ns, initiator_ns)
  if responder_ns < 0 or initiator_ns < 0 then return nil end
  return (responder_ns + initiator_ns) / 1e6
end
local function address(flow, side) return addr_t(flow.key[2 * side], flow.key[2 * side + 1]) end
local ports = ffi.typeof("const uint16_t *") -- of the key's last word: both ports, then VLAN tags and protocol

local getters = {
  src = function(flow) return address(flow, initiator(flow)) end,
  dst = function(flow) return address(flow, 1 - initiator(flow)) end,
  src_port = function(flow) return ffi.cast(ports, flow.key + 4)[initiator(flow)] end,
  dst_port = function(flow) return ffi.cast(ports, flow.key + 4)[1 - initiator(flow)] end,
  vlan = function(flow) return band(ffi.cast(ports, flow.key + 4)[2], 0xfff) end,
  inner_vlan = function(flow)
    local tags = ffi.cast(ports, flow.key + 4)
    return (tags[2] - tags[2] % 4096) / 4096 + band(tags[3], 0xff) * 16
  end,
  proto = function(flow) return bit.rshift(ffi.cast(ports, flow.key + 4)[3], 8) end,
  first = function(flow) return flow.first end,
  last = function(flow) return flow.last end,
  duration_s = function(flow) return (flow.last - flow.first) / 1e9 end,
  state = function(flow) return states[flow.state] end,
  reason = function(flow, cursor)
    if not cursor.ended then return nil end
    return reasons[flow.reason]
  end,
  is_forward = function(_, cursor)
    if cursor.ended then return nil end
    return cursor.is_forward
  end,
  packets = function(flow) return tonumber(flow.packets[0]) + tonumber(flow.packets[1]) end,
  bytes = function(flow) return tonumber(flow.bytes[0]) + tonumber(flow.bytes[1]) end,
  payload_bytes = function(flow) return tonumber(flow.payload[0]) + tonumber(flow.payload[1]) end,
  retransmissions = function(flow) return flow.retransmissions[0] + flow.retransmissions[1] end,
  forward_packets = function(flow) return tonumber(flow.packets[initiator(flow)]) end,
  forward_bytes = function(flow) return tonumber(flow.bytes[initiator(flow)]) end,
  forward_payload_bytes = function(flow) return tonumber(flow.payload[initiator(flow)]) end,
  forward_flags = function(flow) return flow.flags[initiator(flow)] end,
  forward_retransmissions = function(flow) return flow.retransmissions[initiator(flow)] end,
  reverse_packets = function(flow) return tonumber(flow.packets[1 - initiator(flow)]) end,
  reverse_bytes = function(flow) return tonumber(flow.bytes[1 - initiator(flow)]) end,
  reverse_payload_bytes = function(flow) return tonumber(flow.payload[1 - initiator(flow)]) end,
  reverse_flags = function(flow) return flow.flags[1 - initiator(flow)] end,
  reverse_retransmissions = function(flow) return flow.retransmissions[1 - initiator(flow)] end,
  rtt_ms = function(flow) return ms(rtt_responder(flow), rtt_initiator(flow)) end,
  rtt_responder_ms = function(flow) return ms(rtt_responder(flow), 0) end,
  rtt_initiator_ms = function(flow) return ms(0, rtt_initiator(flow)) end,
  flow_id = function(flow)
    flow_id(flow, text)
    return ffi_string(text, 16)
  end,
  community_id = function(flow)
    community_id(flow, text)
    return ffi_string(text, 30)
  end,
}

local names = { "user" }
for name in pairs(getters) do names[#names + 1] = name end
sort(names)
core.members["a flow"] = names
core.members["a flow table"] = { "add", "count" } -- each table has functions of its own, made when it is declared

local function flow_of(cursor)
  if cursor.generation ~= cell.generation or cursor.packet ~= cell.next then
    error("a flow is used after its packet; get it again with flows:add(p)", 3)
  end
  return cursor.flow
end

local function unknown_field(name)
  error("a flow has no '" .. (type(name) == "string" and name or type(name)) .. "'" .. core.suggest(name, names)
          .. (name == "user" and "; declare it: user = { { \"name\", \"type\" } }" or ""), 3)
end

local function make_view(cursor, user)
  return setmetatable({}, {
    __index = function(_, name)
      local get = getters[name]
      if get then return get(flow_of(cursor), cursor) end
      if name ~= "user" or not user then unknown_field(name) end
      flow_of(cursor)
      return user
    end,
    __newindex = function() error("a flow is read-only; its own fields are in f.user", 2) end,
    __metatable = false,
  })
end

-- The plugin's own fields ---------------------------------------------------------------------------------------------

local tools = { flow_of = flow_of, tonumber = tonumber, ffi_string = ffi_string, band = band, bor = bit.bor }
for name, tool in pairs(core.type_tools) do tools[name] = tool end

-- Reading and writing by name; constant names are compared while a trace is recorded, not when it runs. A word of bits
-- before the fields says which are set; see flows/flow_fields.h.
local function source_of(fields)
  local out = { "local tools = ...\n" }
  local function put(...) out[#out + 1] = format(...) end
  for name in pairs(tools) do put("local %s = tools.%s\n", name, name) end
  put("return function(cursor, names, unknown)\n  local function read(_, name)\n"
        .. "    local to = cast(u8_p, flow_of(cursor) + 1)\n")
  for i, field in ipairs(fields) do
    local byte, mask = (i - 1 - (i - 1) % 8) / 8, 2 ^ ((i - 1) % 8)
    put("    if name == %q then\n      if band(to[%d], %d) == 0 then return nil end\n      local o = %d %s\n    end\n",
      field.name, byte, mask, field.at, core.field_layout[field.type][2])
  end
  put("    unknown(name)\n  end\n  local function write(_, name, v)\n    local to = cast(u8_p, flow_of(cursor) + 1)\n")
  for i, field in ipairs(fields) do
    local byte, mask = (i - 1 - (i - 1) % 8) / 8, 2 ^ ((i - 1) % 8)
    local kind = types[field.type]
    local function expand(code) return (code:gsub("%f[%u][VNO]%f[%U]", { V = "v", N = "n", O = "place" })) end
    put("    if name == %q then\n      local o = %d\n", field.name, field.at)
    if kind.bytes then put("      local n, place = measure(v)\n") end
    local check, write = kind.check, kind.write
    if field.type == "string" then
      check, write = "N ~= nil", format(core.text_write, field.max_bytes, field.max_bytes)
    end
    put("      if not (%s) then bad('flows', names[%d], '%s', v) end\n", expand(check), i, field.type)
    put("      %s\n      to[%d] = bor(to[%d], %d)\n      return\n    end\n", expand(write), byte, byte, mask)
  end
  put("    unknown(name)\n  end\n  return read, write\nend\n")
  return concat(out)
end

local makers = {}

local function make_user(shape, fields, cursor)
  local field_names = {}
  for i, field in ipairs(fields) do field_names[i] = field.name end
  if not makers[shape] then makers[shape] = assert(loadstring(source_of(fields), "=engine.flows"))(tools) end
  local function unknown(name)
    error("this flow's user fields have no '" .. (type(name) == "string" and name or type(name)) .. "'"
            .. core.suggest(name, field_names) .. " (there are " .. concat(field_names, ", ") .. ")", 3)
  end
  local read, write = makers[shape](cursor, field_names, unknown)
  return setmetatable({}, { __index = read, __newindex = write, __metatable = false })
end

-- The table -----------------------------------------------------------------------------------------------------------

local function make_methods(handle_t, cursor, view)
  return {
    add = function(flows, p)
      if not istype(handle_t, flows) or not istype(packet_t, p) then bad_call(istype(handle_t, flows), "flows", "add", p) end
      if not add_native(flows, p, cursor) then return nil end
      cursor.generation, cursor.packet = cell.generation, cell.next
      return view
    end,
    count = function(flows)
      if not istype(handle_t, flows) then error("call it as flows:count()", 2) end
      return count_native(flows)
    end,
  }
end

local slots, slots_made = {}, 0

-- The type and functions of the n-th table of this shape in an instance: made once, so that to the compiler everything
-- in them but the handle is constant.
local function make_slot(shape, fields)
  slots_made = slots_made + 1
  local ctype = format("struct engine_flows_%d", slots_made)
  ffi.cdef(ctype .. ";")
  local cursor = ffi.new("struct engine_flow_cursor")
  local slot = { handle_t = ffi.typeof(ctype .. " *"), cursor = cursor }
  slot.view = make_view(cursor, #fields > 0 and make_user(shape, fields, cursor) or nil)
  core.handle_type(ctype, "flow table", make_methods(slot.handle_t, cursor, slot.view))
  return slot
end

local function slot_of(shape, fields)
  local used = core.current.flows or {}
  core.current.flows = used
  used[shape] = (used[shape] or 0) + 1
  local name = shape .. " #" .. used[shape]
  slots[name] = slots[name] or make_slot(shape, fields)
  return slots[name]
end

local function call_for_each(handle, cursor, view, on_end)
  return function()
    while next_native(handle, cursor) do
      cursor.generation, cursor.packet = cell.generation, cell.next
      on_end(view)
    end
  end
end

local default_idle, default_active, default_max = 60, 300, 1000000

function core.flows(options)
  core.check_options("flows", options, { "name", "idle", "active", "max", "user", "on_end" }, 2)
  local name, on_end = rawget(options, "name"), rawget(options, "on_end")
  if name ~= nil then core.check_name("flows", name, 3) end
  if on_end ~= nil and type(on_end) ~= "function" then error("flows: on_end is a function(f), got " .. show(on_end), 2) end
  if not (name or on_end) then error("flows: name or on_end is missing: nobody would see the flows that end", 2) end
  local idle = core.check_real("flows", "idle", rawget(options, "idle"), default_idle, 0.001, 86400, 2)
  local active = core.check_real("flows", "active", rawget(options, "active"), default_active, 0.001, 604800, 2)
  local max = core.check_number("flows", "max", rawget(options, "max"), default_max, 1, 16777216, 2)
  local given = rawget(options, "user")
  local fields = given ~= nil and core.check_fields("flows", "user", given, 255) or {}
  local address = core.declare("flows", { name = name, idle = idle, active = active, max = max, fields = fields,
    callback = on_end ~= nil }, 2)
  local shape = {}
  for i, field in ipairs(fields) do
    field.at = n.field_offset(address, i - 1)
    shape[i] = field.name .. " " .. field.type .. " " .. field.max_bytes
  end
  local slot = slot_of(concat(shape, ", "), fields)
  local handle = ffi.cast(slot.handle_t, address)
  if on_end then core.on_pending(call_for_each(handle, slot.cursor, slot.view, on_end)) end
  return handle
end
