-- The standard library: headers and messages, parsed when a plugin asks.

local api = ...

api.section {
  title = "The standard library",
  text = [[
Parsers of headers and messages: `dns`, `http`, `tls`, `tcp`, `icmp`, `ip`, `eth`, `arp`. `X.parse(p)` gives nil where the
packet is none, never an error. What it gives is one object per protocol, valid until the next packet: using it later is an
error. Fields that a header always has are plain values; others are nil where this one has none. Texts are made when they
are read.]],
}

local function protocol(name, class, what, text, example, fields, methods, parse)
  api.section {
    title = name,
    library = name,
    text = text,
    example = example,
    functions = { parse or { "parse(p: engine.packet): engine." .. class .. "?", "The packet's, or nil." } },
  }
  api.section { title = "What " .. name .. ".parse gives", class = "engine." .. class, what = what, fields = fields, methods = methods }
end

protocol("dns", "dns_message", "a DNS message",
  "DNS in a UDP datagram, or at the beginning of a TCP segment; mDNS and LLMNR too.", [[
local q = dns.parse(p)
if q and q.is_response and q.rcode_name == "NXDOMAIN" then failed:add(q.qname) end]], {
    { "id: integer", "Of the query, and of its response." },
    { "is_response: boolean", "" },
    { "opcode: integer", "0: a query." },
    { "opcode_name: string?", '`"QUERY"`, `"NOTIFY"`, `"UPDATE"`…' },
    { "rcode: integer", "0: no error; without the extension of EDNS." },
    { "rcode_name: string?", '`"NOERROR"`, `"NXDOMAIN"`, `"SERVFAIL"`, `"REFUSED"`…' },
    { "aa: boolean", "The server is an authority." },
    { "tc: boolean", "The server cut its answer." },
    { "rd: boolean", "Recursion is asked for." },
    { "ra: boolean", "Recursion is offered." },
    { "ad: boolean", "The data is authentic (DNSSEC)." },
    { "cd: boolean", "Checking is disabled (DNSSEC)." },
    { "question_count: integer", "As the header says; so are the others." },
    { "answer_count: integer", "How many answers `q:answer` has at most." },
    { "authority_count: integer", "" },
    { "additional_count: integer", "With the EDNS record." },
    { "qname?: string", "The first question's name, in lower case, without the last dot; `.` is the root. Bytes that are no visible ASCII are `\\DDD`, a dot within a label is `\\.`." },
    { "qname_as_sent?: string", "The same with its capitals." },
    { "qtype?: integer", "1 A, 28 AAAA…" },
    { "qclass?: integer", "1: Internet. mDNS uses the highest bit." },
    { "type_name?: string", '`qtype` as text: `"A"`, `"AAAA"`, `"HTTPS"`, `"TYPE1234"`…' },
    { "truncated: boolean", "The message goes on behind what was captured, or in the next segment." },
  }, {
    { "answer(i: integer): engine.dns_answer?", "The i-th answer, from 1; nil beyond the last that was captured. Reading them in their order is cheapest." },
  },
  { "parse(p: engine.packet, any_port?: boolean): engine.dns_message?",
    "The packet's, or nil. Without `any_port` on ports 53, 5353 and 5355; with it, what has exactly one plausible question." })

api.section {
  title = "What q:answer gives",
  class = "engine.dns_answer",
  what = "a DNS answer",
  text = "One object, valid until the next call.",
  example = [[
for i = 1, q.answer_count do
  local a = q:answer(i)
  if not a then break end
  if a.address then resolved:emit(q.qname, a.address, a.ttl) end
end]],
  fields = {
    { "name?: string", "As `qname`; nil if it is broken." },
    { "type: integer", "1 A, 5 CNAME, 28 AAAA…" },
    { "type_name: string", "The same as text." },
    { "class: integer", "1: Internet." },
    { "ttl: integer", "Seconds." },
    { "address?: engine.address", "Of A and AAAA." },
    { "target?: string", "The name that CNAME, NS, PTR, DNAME, MX, SRV and SOA (its server) give." },
    { "priority?: integer", "Of MX and SRV." },
    { "data: engine.view", "The record's data as it was sent." },
  },
}

protocol("http", "http_head", "an HTTP head",
  "The head of an HTTP/1 request or response that begins in this TCP segment, on any port.", [[
local h = http.parse(p)
if h and h.is_request then hosts:add(h.host or "(none)") end]], {
    { "is_request: boolean", "" },
    { "method?: string", "Of a request: `GET`, `POST`…" },
    { "target?: string", "Of a request: what stands behind the method; nil if the segment ends before the version." },
    { "status?: integer", "Of a response: 200, 404…" },
    { "reason?: string", "Of a response: the words behind the status." },
    { "version?: string", '`"1.1"` or `"1.0"`.' },
    { "host?: string", "The header field Host." },
    { "user_agent?: string", "The header field User-Agent." },
    { "content_type?: string", "The header field Content-Type." },
    { "content_length?: integer", "The header field Content-Length; nil if it is no number." },
    { "head_complete: boolean", "The empty line behind the header fields is in this segment." },
    { "head_len?: integer", "Bytes of the head with that line; nil if it is not." },
  }, {
    { "header(name: string): string?", "The first header field of that name, in any case; nil if there is none in this segment or its line goes on in the next." },
  })

protocol("tls", "tls_hello", "a TLS hello",
  [[
A TLS ClientHello that begins in this TCP segment, on any port. A hello with post-quantum keys takes two segments: what lies
in the second is nil, and `truncated` says so.]], [[
local t = tls.parse(p)
if t and t.sni then names:add(t.sni) end]], {
    { "sni?: string", "The server's name." },
    { "sni_view?: engine.view", "The same as a view: cheaper as a key and in a record, since no string is made." },
    { "version?: string", 'The highest one offered: `"TLS 1.3"`, `"TLS 1.2"`… `"SSL 3.0"`.' },
    { "legacy_version?: string", "The one in the old field; TLS 1.3 says TLS 1.2 there." },
    { "versions: string[]", "All of supported_versions, in their order; a new table." },
    { "alpn?: string", 'The first protocol offered: `"h2"`, `"http/1.1"`…' },
    { "alpns: string[]", "All of them; a new table." },
    { "cipher_count: integer", "Cipher suites offered." },
    { "session_id_len: integer", "0 to 32." },
    { "has_ech: boolean", "The hello is encrypted within (ECH): `sni` is the outer name." },
    { "truncated: boolean", "The hello goes on in the next segment." },
  })

protocol("tcp", "tcp_header", "a TCP header", "The TCP header with its options.", [[
local t = tcp.parse(p)
if t and t.is_syn and not t.is_ack then mss:add(t.mss or 536) end]], {
    { "src_port: integer", "" },
    { "dst_port: integer", "" },
    { "seq: integer", "Sequence number." },
    { "ack: integer", "Acknowledgement number." },
    { "window: integer", "Not scaled." },
    { "checksum: integer", "As sent; offloading leaves it unset on the way out." },
    { "urgent: integer", "Urgent pointer." },
    { "header_len: integer", "Bytes, options included." },
    { "payload_len: integer", "Bytes captured behind it." },
    { "flags: integer", "All of them, as `p.tcp_flags`." },
    { "is_fin: boolean", "" },
    { "is_syn: boolean", "" },
    { "is_rst: boolean", "" },
    { "is_psh: boolean", "" },
    { "is_ack: boolean", "" },
    { "is_urg: boolean", "" },
    { "is_ece: boolean", "" },
    { "is_cwr: boolean", "" },
    { "mss?: integer", "Option: the largest segment." },
    { "window_scale?: integer", "Option: bits to shift the window by." },
    { "sack_permitted: boolean", "Option." },
    { "sack_blocks: integer", "How many blocks the SACK option has; 0 without it." },
    { "ts_val?: integer", "Option: the sender's time stamp." },
    { "ts_ecr?: integer", "Option: the time stamp that it echoes." },
  })

protocol("icmp", "icmp_message", "an ICMP message",
  "ICMP and ICMPv6; of an error also what it says of the packet that it is about.", [[
local m = icmp.parse(p)
if m and m.is_error and m.inner_dst then unreachable:emit(m.inner_dst, m.type_name) end]], {
    { "version: integer", "4 or 6: the types have other numbers." },
    { "type: integer", "As `p.icmp_type`." },
    { "code: integer", "As `p.icmp_code`." },
    { "type_name?: string", '`"echo request"`, `"destination unreachable"`, `"time exceeded"`…' },
    { "is_error: boolean", "It is about another packet." },
    { "is_echo_request: boolean", "" },
    { "is_echo_reply: boolean", "" },
    { "id?: integer", "Of echo, timestamp, address mask." },
    { "sequence?: integer", "Of the same." },
    { "mtu?: integer", "Of \"fragmentation needed\" and \"packet too big\"." },
    { "target?: engine.address", "Redirect: the better hop (IPv4) or the destination (IPv6). Neighbor discovery: whom it is about." },
    { "inner_src?: engine.address", "Of the packet that an error is about; so are the others." },
    { "inner_dst?: engine.address", "" },
    { "inner_proto?: integer", "" },
    { "inner_src_port?: integer", "" },
    { "inner_dst_port?: integer", "" },
  })

protocol("ip", "ip_header", "an IP header",
  "The IPv4 or IPv6 header. Called with a text, `ip` gives an address: `ip\"10.0.0.1\"`.", [[
local i = ip.parse(p)
if i and i.ecn == 3 then congested:add(p) end]], {
    { "src: engine.address", "" },
    { "dst: engine.address", "" },
    { "version: integer", "4 or 6." },
    { "header_len: integer", "Bytes: IPv4 with options; IPv6 without extension headers, 40." },
    { "total_len: integer", "Bytes, header included, as it says." },
    { "tos: integer", "Type of service, or traffic class." },
    { "dscp: integer", "Its upper six bits." },
    { "ecn: integer", "Its lower two bits; 3: congestion experienced." },
    { "ttl: integer", "TTL, or hop limit." },
    { "proto: integer", "As `p.proto`." },
    { "next_header: integer", "What the header itself names; IPv6: maybe an extension header." },
    { "id?: integer", "Identification; IPv6: of the fragment header." },
    { "df: boolean", "Don't fragment; IPv4 alone." },
    { "mf: boolean", "More fragments." },
    { "fragment_off: integer", "Bytes." },
    { "flow_label: integer", "IPv6 alone." },
    { "has_hop_by_hop: boolean", "IPv6: hop-by-hop options come first." },
  })

protocol("eth", "eth_header", "an Ethernet header", "The Ethernet header; nil on other links.", [[
local e = eth.parse(p)
if e and e.is_broadcast then senders:add(e.src_mac) end]], {
    { "src: string", "As text: `02:00:00:00:00:01`." },
    { "dst: string", "As text." },
    { "src_mac: engine.view", "The six bytes: for records of type `mac`, and as keys." },
    { "dst_mac: engine.view", "The six bytes." },
    { "type: integer", "As `p.eth_type`; 0: an IEEE 802.3 frame with a length." },
    { "vlan_tags: integer", "0, 1 or 2." },
    { "vlan: integer", "As `p.vlan`." },
    { "inner_vlan: integer", "As `p.inner_vlan`." },
    { "priority: integer", "0 to 7, of the outer tag." },
    { "is_multicast: boolean", "Broadcast included." },
    { "is_broadcast: boolean", "" },
  })

protocol("arp", "arp_message", "an ARP message", "ARP for IPv4 over Ethernet.", [[
local a = arp.parse(p)
if a and a.is_reply then owners:emit(a.sender, a.sender_mac) end]], {
    { "op: integer", "1 request, 2 reply." },
    { "is_request: boolean", "" },
    { "is_reply: boolean", "" },
    { "sender: engine.address", "Whose message it is." },
    { "target: engine.address", "Whom it asks for, or answers." },
    { "sender_mac: engine.view", "Six bytes." },
    { "target_mac: engine.view", "Six bytes; a request leaves them unset." },
    { "sender_mac_text: string", "As text." },
    { "target_mac_text: string", "As text." },
  })
