-- The standard library: headers. X.parse(packet) fills one object per protocol and state, in C++, and gives it, or nil
-- if the packet is none. Fields are read through a function that checks whose the object is: one that is used after its
-- packet would show another packet's numbers, and its places must not be followed.
--
-- Each getter and each parse() is a function of its own, not made by a common maker: the JIT compiler takes what a
-- function has captured for constant only while there are few of its kind (PROTO_CLC_POLY in lj_record.c).

local core = ...
local ffi, cell, show, suggest = core.ffi, core.cell, core.show, core.suggest
local natives, packet_t, view_t = core.groups.protocol, core.packet_t, core.view_t
local istype, ffi_string = ffi.istype, ffi.string
local band, rshift = bit.band, bit.rshift
local type, error = type, error

local function stale(what) error(what .. " is used after its packet; keep what you need of it", 3) end

local function unknown(what, key, known)
  error(what .. " has no '" .. (type(key) == "string" and key or type(key)) .. "'" .. suggest(key, known), 3)
end

local objects = {}

-- What tostring says of an object of the library; nil for anything else.
function core.protocol_text(value)
  for i = 1, #objects do
    if istype(objects[i].type, value) then return objects[i].what end
  end
end

-- Makes the object of one protocol. `get` holds a function per field: get.name(object).
function core.protocol_object(ctype, what, get)
  local known = {}
  for name in pairs(get) do known[#known + 1] = name end
  table.sort(known)
  core.members[what] = known
  local object_t = ffi.typeof(ctype)
  objects[#objects + 1] = { type = object_t, what = what }
  ffi.metatype(object_t, {
    __index = function(object, key)
      if object._generation ~= cell.generation or object._packet ~= cell.next then stale(what) end
      local field = get[key]
      if not field then unknown(what, key, known) end
      local value = field(object)
      return value
    end,
    __newindex = function() error(what .. " is read-only", 2) end,
    __tostring = function() return what end,
  })
  return ffi.new(object_t)
end

function core.not_a_packet(name, value) error(name .. ": a packet expected, got " .. show(value), 3) end
local not_a_packet = core.not_a_packet

local parsers = {}
core.parsers = parsers

-- What a plugin finds: tables of its own, so that what it does to them stays in its instance.
function core.protocol_libraries()
  local libraries = {}
  for name, parse in pairs(parsers) do
    libraries[name] = core.closed({ parse = parse }, name, name == "ip" and core.ip_call or nil)
  end
  return libraries
end

-- Ethernet -----------------------------------------------------------------------------------------------------------

local text_buffer = ffi.new("char[32]")
local mac_text, eth_native = natives.mac_text, natives.eth

local function mac(off)
  mac_text(cell.frames + off, text_buffer)
  return ffi_string(text_buffer, 17)
end

local eth = core.protocol_object("struct engine_eth", "an Ethernet header", {
  src = function(e) return mac(e._off + 6) end,
  dst = function(e) return mac(e._off) end,
  src_mac = function(e) return view_t(e._generation, e._packet, e._off + 6, 6) end,
  dst_mac = function(e) return view_t(e._generation, e._packet, e._off, 6) end,
  type = function(e) return e._type end,
  vlan_tags = function(e) return e._vlan_tags end,
  vlan = function(e) return e._vlan end,
  inner_vlan = function(e) return e._inner_vlan end,
  priority = function(e) return e._priority end,
  is_multicast = function(e) return band(cell.frames[e._off], 1) ~= 0 end,
  is_broadcast = function(e)
    local at = cell.frames + e._off
    return at[0] + at[1] + at[2] + at[3] + at[4] + at[5] == 6 * 255
  end,
})

function parsers.eth(p)
  if not istype(packet_t, p) then not_a_packet("eth.parse", p) end
  if eth_native(eth, cell, p) then return eth end
  return nil
end

-- ARP ----------------------------------------------------------------------------------------------------------------

local arp_native = natives.arp

local arp = core.protocol_object("struct engine_arp", "an ARP message", {
  op = function(a) return a._op end,
  is_request = function(a) return a._op == 1 end,
  is_reply = function(a) return a._op == 2 end,
  sender = function(a) return a._sender end,
  target = function(a) return a._target end,
  sender_mac = function(a) return view_t(a._generation, a._packet, a._off + 8, 6) end,
  target_mac = function(a) return view_t(a._generation, a._packet, a._off + 18, 6) end,
  sender_mac_text = function(a) return mac(a._off + 8) end,
  target_mac_text = function(a) return mac(a._off + 18) end,
})

function parsers.arp(p)
  if not istype(packet_t, p) then not_a_packet("arp.parse", p) end
  if arp_native(arp, cell, p) then return arp end
  return nil
end

-- IP -----------------------------------------------------------------------------------------------------------------

local ip_native = natives.ip

local ip = core.protocol_object("struct engine_ip", "an IP header", {
  src = function(i) return i._src end,
  dst = function(i) return i._dst end,
  version = function(i) return i._version end,
  header_len = function(i) return i._header_len end,
  total_len = function(i) return i._total_len end,
  tos = function(i) return i._tos end,
  dscp = function(i) return rshift(i._tos, 2) end,
  ecn = function(i) return band(i._tos, 3) end,
  ttl = function(i) return i._ttl end,
  proto = function(i) return i._proto end,
  next_header = function(i) return i._next_header end,
  id = function(i) if i._has_id then return i._id end end,
  df = function(i) return i._df end,
  mf = function(i) return i._mf end,
  fragment_off = function(i) return i._fragment_off end,
  flow_label = function(i) return i._flow_label end,
  has_hop_by_hop = function(i) return i._has_hop_by_hop end,
})

function parsers.ip(p)
  if not istype(packet_t, p) then not_a_packet("ip.parse", p) end
  if ip_native(ip, cell, p) then return ip end
  return nil
end

-- TCP ----------------------------------------------------------------------------------------------------------------

local tcp_native = natives.tcp

local tcp = core.protocol_object("struct engine_tcp", "a TCP header", {
  src_port = function(t) return t._src_port end,
  dst_port = function(t) return t._dst_port end,
  seq = function(t) return t._seq end,
  ack = function(t) return t._ack end,
  window = function(t) return t._window end,
  checksum = function(t) return t._checksum end,
  urgent = function(t) return t._urgent end,
  header_len = function(t) return t._header_len end,
  payload_len = function(t) return t._payload_len end,
  flags = function(t) return t._flags end,
  is_fin = function(t) return band(t._flags, 1) ~= 0 end,
  is_syn = function(t) return band(t._flags, 2) ~= 0 end,
  is_rst = function(t) return band(t._flags, 4) ~= 0 end,
  is_psh = function(t) return band(t._flags, 8) ~= 0 end,
  is_ack = function(t) return band(t._flags, 16) ~= 0 end,
  is_urg = function(t) return band(t._flags, 32) ~= 0 end,
  is_ece = function(t) return band(t._flags, 64) ~= 0 end,
  is_cwr = function(t) return band(t._flags, 128) ~= 0 end,
  mss = function(t) if t._has_mss then return t._mss end end,
  window_scale = function(t) if t._has_window_scale then return t._window_scale end end,
  sack_permitted = function(t) return t._sack_permitted end,
  sack_blocks = function(t) return t._sack_blocks end,
  ts_val = function(t) if t._has_ts then return t._ts_val end end,
  ts_ecr = function(t) if t._has_ts then return t._ts_ecr end end,
})

function parsers.tcp(p)
  if not istype(packet_t, p) then not_a_packet("tcp.parse", p) end
  if tcp_native(tcp, cell, p) then return tcp end
  return nil
end

-- ICMP ---------------------------------------------------------------------------------------------------------------

-- IANA, ICMP Type Numbers; ICMPv6 "type" Numbers.
local type_names4 = { [0] = "echo reply", [3] = "destination unreachable", [4] = "source quench", [5] = "redirect",
  [8] = "echo request", [9] = "router advertisement", [10] = "router solicitation", [11] = "time exceeded",
  [12] = "parameter problem", [13] = "timestamp request", [14] = "timestamp reply", [17] = "address mask request",
  [18] = "address mask reply", [42] = "extended echo request", [43] = "extended echo reply" }
local type_names6 = { [1] = "destination unreachable", [2] = "packet too big", [3] = "time exceeded",
  [4] = "parameter problem", [128] = "echo request", [129] = "echo reply", [130] = "multicast listener query",
  [131] = "multicast listener report", [132] = "multicast listener done", [133] = "router solicitation",
  [134] = "router advertisement", [135] = "neighbor solicitation", [136] = "neighbor advertisement", [137] = "redirect",
  [143] = "multicast listener report v2", [160] = "extended echo request", [161] = "extended echo reply" }

local icmp_native = natives.icmp

local icmp = core.protocol_object("struct engine_icmp", "an ICMP message", {
  version = function(m) return m._version end,
  type = function(m) return m._type end,
  code = function(m) return m._code end,
  type_name = function(m) return (m._version == 4 and type_names4 or type_names6)[m._type] end,
  is_error = function(m) return m._is_error end,
  is_echo_request = function(m) return m._type == (m._version == 4 and 8 or 128) end,
  is_echo_reply = function(m) return m._type == (m._version == 4 and 0 or 129) end,
  id = function(m) if m._has_id then return m._id end end,
  sequence = function(m) if m._has_id then return m._sequence end end,
  mtu = function(m) if m._has_mtu then return m._mtu end end,
  target = function(m) if m._has_target then return m._target end end,
  inner_src = function(m) if m._has_inner then return m._inner_src end end,
  inner_dst = function(m) if m._has_inner then return m._inner_dst end end,
  inner_proto = function(m) if m._has_inner then return m._inner_proto end end,
  inner_src_port = function(m) if m._has_inner_ports then return m._inner_src_port end end,
  inner_dst_port = function(m) if m._has_inner_ports then return m._inner_dst_port end end,
})

function parsers.icmp(p)
  if not istype(packet_t, p) then not_a_packet("icmp.parse", p) end
  if icmp_native(icmp, cell, p) then return icmp end
  return nil
end
