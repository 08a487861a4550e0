-- Packets, addresses, networks, views and batches.

local api = ...

api.section {
  title = "The packet",
  class = "engine.packet",
  what = "a packet",
  text = [[
Read-only, and valid until the callback returns: keep its numbers, `p.src:copy()` or `p:string(...)`, never `p` itself. Fields
are plain numbers unless noted, 0 where they don't apply. Offsets are bytes from the frame's first byte; what lies outside
the captured bytes reads as nil.]],
  example = [[
function on_packet(p)
  if p.proto == 6 and p.src:in_net(net"10.0.0.0/8") and p:u8(p.payload_off) == 0x16 then … end
end]],
  fields = {
    { "time: number", "Ns since `engine.epoch_ns`; exact for 104 days." },
    { "len: integer", "Bytes on the wire." },
    { "caplen: integer", "Bytes captured." },
    { "queue: integer", "The receive queue." },
    { "hash: integer", "Of addresses, ports and protocol; the same for both directions." },
    { "rss_hash: integer", "The NIC's own." },
    { "eth_type: integer", "After VLAN tags." },
    { "vlan: integer", "The outer tag's VLAN." },
    { "inner_vlan: integer", "The inner tag's VLAN." },
    { "ip_version: integer", "4, 6 or 0." },
    { "proto: integer", "The IP protocol, after IPv6 extension headers: 1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6." },
    { "ttl: integer", "TTL, or hop limit." },
    { "tos: integer", "Type of service, or traffic class." },
    { "is_fragment: boolean", "Any fragment, the first one included." },
    { "src: engine.address", "Source address, as a view of the packet." },
    { "dst: engine.address", "Destination address, as a view of the packet." },
    { "src4: integer", "IPv4 source as a number: a cheap table key." },
    { "dst4: integer", "IPv4 destination as a number." },
    { "src_port: integer", "TCP, UDP, SCTP." },
    { "dst_port: integer", "TCP, UDP, SCTP." },
    { "tcp_flags: integer", "FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128." },
    { "tcp_seq: integer", "Sequence number." },
    { "tcp_ack: integer", "Acknowledgement number." },
    { "tcp_window: integer", "Not scaled." },
    { "icmp_type: integer", "ICMP and ICMPv6." },
    { "icmp_code: integer", "ICMP and ICMPv6." },
    { "l3_off: integer", "Where the IP header begins." },
    { "l4_off: integer", "Where the transport header begins." },
    { "payload_off: integer", "Where the payload begins." },
    { "payload_len: integer", "Payload bytes captured, without Ethernet's padding." },
    { 'ts_source: "hardware"|"kernel"|"engine"|"file"', "Who took the time." },
    { "outgoing: boolean", "Sent by this machine. A tap (AF_PACKET) sees both directions, AF_XDP only what comes in." },
  },
  methods = {
    { "u8(off: integer): integer?", "The byte there." },
    { "u16(off: integer): integer?", "Two bytes, network order." },
    { "u32(off: integer): integer?", "Four bytes, network order." },
    { "find(bytes: string, off?: integer): integer?", "Where these bytes are, from `off` on." },
    { "string(off: integer, len?: integer): string?", "Bytes as a Lua string; without `len` up to the end." },
    { "view(off: integer, len?: integer): engine.view?", "Bytes without making a string." },
    { "payload(): engine.view", "The payload." },
    { "ts_ns(): integer", "Ns since 1970 as an exact 64-bit value." },
    { "bypass(seconds: number): boolean",
      'Have the kernel pass this flow by, for so long. Needs `uses = { "bypass" }`. Both directions then go to the kernel\'s stack unseen, but counted; when the time is over an event tells their packets and bytes. Fragments without ports do not belong to a flow that has them. False, counted: no such flow (no IP, no ports), a capture file or AF_PACKET, or there is no room.' },
    { "capture(comment?: string|engine.view): boolean", "Have it written to the capture file; false if there is none." },
  },
}

api.section {
  title = "Addresses",
  class = "engine.address",
  what = "an address",
  text = [[
IPv4 or IPv6. Compare with an address, never with a text: `p.src == ip"10.0.0.1"`. As table key use `:key()` or `p.src4`; an
address itself is never found again. `tostring` is for people (300 ns).]],
  example = [[seen[p.src:key()] = true]],
  methods = {
    { "in_net(network: engine.net|string): boolean", "Whether it lies in the network." },
    { "prefix(bits: integer): engine.address", "Its first bits, the rest 0; IPv4 has 32." },
    { "key(): string", "16 bytes that stand for it: a table key." },
    { "copy(): engine.address", "One that may be kept." },
    { "tostring(): string", "As text." },
  },
}

api.section {
  title = "Networks",
  class = "engine.net",
  what = "a network",
  methods = {
    { "contains(address: engine.address): boolean", "Whether the address lies in it." },
    { "tostring(): string", "As text, `10.0.0.0/8`." },
  },
}

api.section {
  title = "Views",
  class = "engine.view",
  what = "a view",
  text = [[
Bytes of a packet. `#view` is their number, `view == "text"` compares, `tostring(view)` copies; record fields and keys of
structures take views as they are. Offsets count from the view's first byte. Using one after its packet is an error.]],
  example = [[if p:payload() == "PING" then … end]],
  operators = { "len: integer" },
  methods = {
    { "u8(off: integer): integer?", "The byte there." },
    { "u16(off: integer): integer?", "Two bytes, network order." },
    { "u32(off: integer): integer?", "Four bytes, network order." },
    { "find(bytes: string, off?: integer): integer?", "Where these bytes are, from `off` on." },
    { "string(off?: integer, len?: integer): string?", "Bytes as a Lua string." },
    { "view(off: integer, len?: integer): engine.view?", "A part of it." },
  },
}

api.section {
  title = "Batches",
  class = "engine.batch",
  text = [[What on_batch gets: `#batch` packets, `batch[1]` the first; nil beyond the last.]],
  example = [[for i = 1, #batch do protocols:add(batch[i]) end]],
  operators = { "len: integer" },
  index = "engine.packet",
}
