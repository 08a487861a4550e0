-- The standard library: DNS messages, HTTP heads, TLS hellos. As protocols.lua; texts are made when they are read.

local core = ...
local ffi, cell, show = core.ffi, core.cell, core.show
local natives, packet_t, view_t, parsers, not_a_packet = core.groups.protocol, core.packet_t, core.view_t, core.parsers,
  core.not_a_packet
local istype, ffi_string = ffi.istype, ffi.string
local band, rshift = bit.band, bit.rshift
local type, error, find, format = type, error, string.find, string.format

-- DNS ----------------------------------------------------------------------------------------------------------------

local name_buffer = ffi.new("char[?]", ffi.C.ENGINE_DNS_NAME_BYTES)
local dns_name, dns_answer, dns_native = natives.dns_name, natives.dns_answer, natives.dns

-- The name at this place of the message; nil where it is broken. In lower case, unless asked for as it was sent: names
-- compare without case (RFC 4343), texts don't.
local function name_at(object, at, lower)
  local length = dns_name(cell.frames + object._off, object._len, at, lower, name_buffer)
  if length == 0 then return nil end
  return ffi_string(name_buffer, length)
end

-- IANA, DNS Resource Record TYPEs; others as RFC 3597 writes them. OPCODEs and RCODEs.
local type_names = { "A", "NS", [5] = "CNAME", [6] = "SOA", [12] = "PTR", [13] = "HINFO", [15] = "MX", [16] = "TXT",
  [28] = "AAAA", [29] = "LOC", [33] = "SRV", [35] = "NAPTR", [39] = "DNAME", [41] = "OPT", [43] = "DS", [44] = "SSHFP",
  [46] = "RRSIG", [47] = "NSEC", [48] = "DNSKEY", [50] = "NSEC3", [51] = "NSEC3PARAM", [52] = "TLSA", [59] = "CDS",
  [60] = "CDNSKEY", [61] = "OPENPGPKEY", [64] = "SVCB", [65] = "HTTPS", [99] = "SPF", [249] = "TKEY", [250] = "TSIG",
  [251] = "IXFR", [252] = "AXFR", [255] = "ANY", [256] = "URI", [257] = "CAA" }
local opcode_names = { [0] = "QUERY", "IQUERY", "STATUS", [4] = "NOTIFY", [5] = "UPDATE", [6] = "DSO" }
local rcode_names = { [0] = "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
  "NXRRSET", "NOTAUTH", "NOTZONE", "DSOTYPENI" }

local function type_name(number) return type_names[number] or "TYPE" .. number end

local answer = core.protocol_object("struct engine_dns_answer", "a DNS answer", {
  name = function(a) return name_at(a, a._name, true) end,
  type = function(a) return a._type end,
  type_name = function(a) return type_name(a._type) end,
  class = function(a) return a._class end,
  ttl = function(a) return a._ttl end,
  address = function(a) if a._has_address then return a._address end end,
  target = function(a) if a._target ~= 0 then return name_at(a, a._target, true) end end,
  priority = function(a) if a._has_priority then return a._priority end end,
  data = function(a) return view_t(a._generation, a._packet, a._off + a._data, a._data_len) end,
})

local dns_t = ffi.typeof("struct engine_dns")

local function read_answer(q, place)
  if not istype(dns_t, q) then error("call it as q:answer(i)", 2) end
  if type(place) ~= "number" then
    error("answer: a number from 1 to q.answer_count expected, got " .. show(place), 2)
  end
  if q._generation ~= cell.generation or q._packet ~= cell.next then
    error("a DNS message is used after its packet; keep what you need of it", 2)
  end
  if dns_answer(q, cell, place, answer) then return answer end
  return nil
end

local dns = core.protocol_object("struct engine_dns", "a DNS message", {
  id = function(q) return q._id end,
  is_response = function(q) return q._flags >= 0x8000 end,
  opcode = function(q) return band(rshift(q._flags, 11), 15) end,
  opcode_name = function(q) return opcode_names[band(rshift(q._flags, 11), 15)] end,
  aa = function(q) return band(q._flags, 0x400) ~= 0 end,
  tc = function(q) return band(q._flags, 0x200) ~= 0 end,
  rd = function(q) return band(q._flags, 0x100) ~= 0 end,
  ra = function(q) return band(q._flags, 0x80) ~= 0 end,
  ad = function(q) return band(q._flags, 0x20) ~= 0 end,
  cd = function(q) return band(q._flags, 0x10) ~= 0 end,
  rcode = function(q) return band(q._flags, 15) end,
  rcode_name = function(q) return rcode_names[band(q._flags, 15)] end,
  question_count = function(q) return q._question_count end,
  answer_count = function(q) return q._answer_count end,
  authority_count = function(q) return q._authority_count end,
  additional_count = function(q) return q._additional_count end,
  qname = function(q) if q._qname ~= 0 then return name_at(q, q._qname, true) end end,
  qname_as_sent = function(q) if q._qname ~= 0 then return name_at(q, q._qname, false) end end,
  qtype = function(q) if q._qname ~= 0 then return q._qtype end end,
  qclass = function(q) if q._qname ~= 0 then return q._qclass end end,
  type_name = function(q) if q._qname ~= 0 then return type_name(q._qtype) end end,
  truncated = function(q) return q._truncated end,
  answer = function() return read_answer end,
})

function parsers.dns(p, any_port)
  if not istype(packet_t, p) then not_a_packet("dns.parse", p) end
  if any_port ~= nil and type(any_port) ~= "boolean" then
    error("dns.parse: any_port is true or false, got " .. show(any_port), 2)
  end
  if dns_native(dns, cell, p, any_port == true) then return dns end
  return nil
end

-- HTTP ---------------------------------------------------------------------------------------------------------------

local http_native, http_field, http_head_len, decimal = natives.http, natives.http_field, natives.http_head_len,
  natives.decimal
local http_t = ffi.typeof("struct engine_http")
local span = ffi.new("struct engine_span")

local function field_of(h, name)
  if not http_field(h, cell, name, #name, span) then return nil end
  return ffi_string(cell.frames + span.off, span.len)
end

local function header(h, name)
  if not istype(http_t, h) then error('call it as h:header("name")', 2) end
  if type(name) ~= "string" or name == "" then error("header: a field's name expected, got " .. show(name), 2) end
  if find(name, ":", 1, true) then error("header: a field's name without ':' expected, got " .. show(name), 2) end
  if h._generation ~= cell.generation or h._packet ~= cell.next then
    error("an HTTP head is used after its packet; keep what you need of it", 2)
  end
  return field_of(h, name)
end

local http = core.protocol_object("struct engine_http", "an HTTP head", {
  is_request = function(h) return h._is_request end,
  method = function(h) if h._is_request then return ffi_string(cell.frames + h._off, h._method_len) end end,
  target = function(h)
    if h._target_len ~= 0 then return ffi_string(cell.frames + (h._off + h._target), h._target_len) end
  end,
  status = function(h) if not h._is_request then return h._status end end,
  reason = function(h)
    if not h._is_request then return ffi_string(cell.frames + (h._off + h._reason), h._reason_len) end
  end,
  version = function(h)
    if h._is_request and h._fields == 0 then return nil end
    return h._minor == 1 and "1.1" or h._minor == 0 and "1.0" or "1." .. h._minor
  end,
  host = function(h) return field_of(h, "host") end,
  user_agent = function(h) return field_of(h, "user-agent") end,
  content_type = function(h) return field_of(h, "content-type") end,
  content_length = function(h)
    if not http_field(h, cell, "content-length", 14, span) then return nil end
    local value = decimal(cell.frames + span.off, span.len)
    if value >= 0 then return value end
  end,
  head_complete = function(h) return http_head_len(h, cell) ~= 0 end,
  head_len = function(h)
    local length = http_head_len(h, cell)
    if length ~= 0 then return length end
  end,
  header = function() return header end,
})

function parsers.http(p)
  if not istype(packet_t, p) then not_a_packet("http.parse", p) end
  if http_native(http, cell, p) then return http end
  return nil
end

-- TLS ----------------------------------------------------------------------------------------------------------------

local tls_native = natives.tls

local version_names = { [0x300] = "SSL 3.0", [0x301] = "TLS 1.0", [0x302] = "TLS 1.1", [0x303] = "TLS 1.2",
  [0x304] = "TLS 1.3" }

-- RFC 8701: values that mean nothing.
local function is_grease(number) return band(number, 0x0f0f) == 0x0a0a and rshift(number, 8) == band(number, 255) end

local function versions(t)
  local list, at = {}, cell.frames + (t._off + t._versions)
  for i = 0, t._versions_len - 2, 2 do
    local number = at[i] * 256 + at[i + 1]
    if not is_grease(number) then list[#list + 1] = version_names[number] or format("0x%04x", number) end
  end
  return list
end

-- The list's names; of one that is cut or empty, those before it.
local function alpns(t)
  local list, at, left = {}, cell.frames + (t._off + t._alpn), t._alpn_len
  while left > 0 and at[0] > 0 and at[0] < left do
    list[#list + 1] = ffi_string(at + 1, at[0])
    at, left = at + (1 + at[0]), left - 1 - at[0]
  end
  return list
end

local tls = core.protocol_object("struct engine_tls", "a TLS hello", {
  sni = function(t) if t._sni_len ~= 0 then return ffi_string(cell.frames + (t._off + t._sni), t._sni_len) end end,
  sni_view = function(t)
    if t._sni_len ~= 0 then return view_t(t._generation, t._packet, t._off + t._sni, t._sni_len) end
  end,
  version = function(t) return version_names[t._version] end,
  legacy_version = function(t) return version_names[t._legacy_version] end,
  versions = versions,
  alpn = function(t)
    local at = cell.frames + (t._off + t._alpn)
    if t._alpn_len > 1 and at[0] > 0 and at[0] < t._alpn_len then return ffi_string(at + 1, at[0]) end
  end,
  alpns = alpns,
  cipher_count = function(t) return t._ciphers_len / 2 end,
  session_id_len = function(t) return t._session_id_len end,
  has_ech = function(t) return t._has_ech end,
  truncated = function(t) return t._truncated end,
})

function parsers.tls(p)
  if not istype(packet_t, p) then not_a_packet("tls.parse", p) end
  if tls_native(tls, cell, p) then return tls end
  return nil
end
