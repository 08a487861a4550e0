-- Packets, views of their bytes, and batches. Offsets are bytes from the frame's first byte; what lies outside the
-- captured bytes reads as nil. Each accessor checks its self: a plugin can call it with anything.

local core = ...
local ffi, natives, cell, refs, show = core.ffi, core.natives, core.cell, core.refs, core.show
local binding = core.binding
local istype, ffi_string = ffi.istype, ffi.string
local type, error, floor = type, error, math.floor

local packet_t = ffi.typeof("struct engine_packet")
local view_t = ffi.typeof("struct engine_view")
core.packet_t, core.view_t = packet_t, view_t

-- Why `type(off) ~= "number"` first: a 64-bit literal needs no ffi, compares unsigned and wraps when added to. Why
-- `not (off >= 0 and ...)`: NaN fails every comparison.
local function bad_offset(name, off) error(name .. ": an offset expected, got " .. show(off), 3) end
local function bad_packet(name) error("call it as p:" .. name .. "(...)", 3) end
local function bad_view(name) error("call it as view:" .. name .. "(...)", 3) end

local methods = {}
core.packet_methods = methods

function methods.u8(p, off)
  if not istype(packet_t, p) then bad_packet("u8") end
  if type(off) ~= "number" then bad_offset("u8", off) end
  if not (off >= 0 and off + 1 <= p.caplen) then return nil end
  return cell.frames[p._off + floor(off)]
end

function methods.u16(p, off)
  if not istype(packet_t, p) then bad_packet("u16") end
  if type(off) ~= "number" then bad_offset("u16", off) end
  if not (off >= 0 and off + 2 <= p.caplen) then return nil end
  local at = cell.frames + (p._off + floor(off))
  return at[0] * 256 + at[1]
end

function methods.u32(p, off)
  if not istype(packet_t, p) then bad_packet("u32") end
  if type(off) ~= "number" then bad_offset("u32", off) end
  if not (off >= 0 and off + 4 <= p.caplen) then return nil end
  local at = cell.frames + (p._off + floor(off))
  return at[0] * 16777216 + at[1] * 65536 + at[2] * 256 + at[3]
end

local find_native = natives.find

function methods.find(p, bytes, off)
  if not istype(packet_t, p) then bad_packet("find") end
  if type(bytes) ~= "string" or bytes == "" then error("find: bytes expected, got " .. show(bytes), 2) end
  if off == nil then off = 0 end
  if type(off) ~= "number" then bad_offset("find", off) end
  if not (off >= 0 and off <= p.caplen) then return nil end
  off = floor(off)
  local at = tonumber(find_native(cell.frames + (p._off + off), p.caplen - off, bytes, #bytes))
  if at < 0 then return nil end
  return off + at
end

-- Whole, inside: the offset and length of what was asked for, or nil. `len` may be absent: up to the end.
local function part(limit, off, len, name)
  if type(off) ~= "number" then error(name .. ": an offset expected, got " .. show(off), 3) end
  if not (off >= 0 and off <= limit) then return nil end
  off = floor(off)
  if len == nil then return off, limit - off end
  if type(len) ~= "number" then error(name .. ": a length expected, got " .. show(len), 3) end
  if not (len >= 0 and off + len <= limit) then return nil end
  return off, floor(len)
end

function methods.string(p, off, len)
  if not istype(packet_t, p) then bad_packet("string") end
  off, len = part(p.caplen, off, len, "string")
  if not off then return nil end
  return ffi_string(cell.frames + (p._off + off), len)
end

function methods.view(p, off, len)
  if not istype(packet_t, p) then bad_packet("view") end
  off, len = part(p.caplen, off, len, "view")
  if not off then return nil end
  return view_t(cell.generation, cell.next, p._off + off, len)
end

function methods.payload(p)
  if not istype(packet_t, p) then bad_packet("payload") end
  return view_t(cell.generation, cell.next, p._off + p.payload_off, p.payload_len)
end

function methods.ts_ns(p)
  if not istype(packet_t, p) then bad_packet("ts_ns") end
  return binding.epoch_ns + ffi.cast("int64_t", p.time)
end

local sources = { [0] = "engine", "file", "kernel", "hardware" }
local fields = {
  "time", "len", "caplen", "queue", "hash", "rss_hash", "eth_type", "vlan", "inner_vlan", "ip_version", "proto", "ttl",
  "tos", "is_fragment", "src_port", "dst_port", "tcp_flags", "tcp_seq", "tcp_ack", "tcp_window", "icmp_type",
  "icmp_code", "l3_off", "l4_off", "payload_off", "payload_len", "src4", "dst4", "src", "dst", "ts_source",
  "outgoing",
  "u8", "u16", "u32", "find", "string", "view", "payload", "ts_ns", "capture", "bypass",
}

core.members["a packet"] = fields

local function packet_text(p)
  local text = "packet of " .. p.len .. " bytes, protocol " .. p.proto
  if p.ip_version == 0 then return text end
  return text .. ", " .. core.address_text(p.src) .. " port " .. p.src_port .. " > " .. core.address_text(p.dst)
    .. " port " .. p.dst_port
end
core.packet_text = packet_text

-- Only reached for what is no C field.
local function packet_index(p, key)
  local method = methods[key]
  if method then return method end
  if key == "ts_source" then return sources[p._ts_source] end
  error("a packet has no field '" .. (type(key) == "string" and key or type(key)) .. "'" .. core.suggest(key, fields), 2)
end

ffi.metatype(packet_t, {
  __index = packet_index,
  __newindex = function() error("a packet is read-only", 2) end,
  __tostring = packet_text,
})

-- Views -------------------------------------------------------------------------------------------------------------

local function check_view(v, name)
  if not istype(view_t, v) then error("call it as view:" .. name .. "(...)", 3) end
  if v._generation ~= cell.generation or v._packet ~= cell.next then
    error("a view is used after its packet; keep view:string(0) instead", 3)
  end
end
core.check_view = check_view

local view_methods = {}

function view_methods.u8(v, off)
  check_view(v, "u8")
  if type(off) ~= "number" then bad_offset("u8", off) end
  if not (off >= 0 and off + 1 <= v._len) then return nil end
  return cell.frames[v._off + floor(off)]
end

function view_methods.u16(v, off)
  check_view(v, "u16")
  if type(off) ~= "number" then bad_offset("u16", off) end
  if not (off >= 0 and off + 2 <= v._len) then return nil end
  local at = cell.frames + (v._off + floor(off))
  return at[0] * 256 + at[1]
end

function view_methods.u32(v, off)
  check_view(v, "u32")
  if type(off) ~= "number" then bad_offset("u32", off) end
  if not (off >= 0 and off + 4 <= v._len) then return nil end
  local at = cell.frames + (v._off + floor(off))
  return at[0] * 16777216 + at[1] * 65536 + at[2] * 256 + at[3]
end

function view_methods.find(v, bytes, off)
  check_view(v, "find")
  if type(bytes) ~= "string" or bytes == "" then error("find: bytes expected, got " .. show(bytes), 2) end
  if off == nil then off = 0 end
  if type(off) ~= "number" then bad_offset("find", off) end
  if not (off >= 0 and off <= v._len) then return nil end
  off = floor(off)
  local at = tonumber(find_native(cell.frames + (v._off + off), v._len - off, bytes, #bytes))
  if at < 0 then return nil end
  return off + at
end

function view_methods.string(v, off, len)
  check_view(v, "string")
  off, len = part(v._len, off == nil and 0 or off, len, "string")
  if not off then return nil end
  return ffi_string(cell.frames + (v._off + off), len)
end

function view_methods.view(v, off, len)
  check_view(v, "view")
  off, len = part(v._len, off, len, "view")
  if not off then return nil end
  return view_t(v._generation, v._packet, v._off + off, len)
end

local equal = natives.equal

local function view_text(v)
  check_view(v, "tostring")
  return ffi_string(cell.frames + v._off, v._len)
end
core.view_text = view_text

ffi.metatype(view_t, {
  __index = core.closed(view_methods, "a view"),
  __newindex = function() error("a view is read-only", 2) end,
  __len = function(v)
    check_view(v, "length")
    return v._len
  end,
  __tostring = view_text,
  __eq = function(a, b)
    if not istype(view_t, a) then a, b = b, a end
    check_view(a, "==")
    if type(b) == "nil" then return false end
    if type(b) == "string" then return #b == a._len and equal(cell.frames + a._off, b, #b) end
    if istype(view_t, b) then return view_text(a) == view_text(b) end
    error("a view is compared with a string or a view", 2)
  end,
})

-- Actions -----------------------------------------------------------------------------------------------------------

local capture = core.groups.capture.capture

-- To be written to the capture file. False, counted, where there is none.
function methods.capture(p, comment)
  if not istype(packet_t, p) then bad_packet("capture") end
  if comment == nil then return capture(binding, p, "", 0) end
  if istype(view_t, comment) then comment = view_text(comment) end
  if type(comment) ~= "string" then error("capture: a comment is a string or a view, got " .. show(comment), 2) end
  return capture(binding, p, comment, #comment)
end

-- Batches -----------------------------------------------------------------------------------------------------------

-- One for the state's life: its content is the current batch, so a kept one never reads beyond it.
local batch_t = ffi.typeof("struct engine_batch")
core.batch_t = batch_t
core.batch = ffi.new(batch_t)

ffi.metatype(batch_t, {
  __index = function(_, place)
    if type(place) ~= "number" then error("a batch is indexed by numbers from 1 to #batch", 2) end
    if not (place >= 1 and place <= cell.count) or floor(place) ~= place then return nil end
    local at = binding.index[place - 1]
    cell.next = at
    return refs[at]
  end,
  __newindex = function() error("a batch is read-only", 2) end,
  __len = function() return cell.count end,
  __tostring = function() return "batch of " .. cell.count .. " packets" end,
})
