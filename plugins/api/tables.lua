-- Native structures beside counter and topk: sketches and tables.

local api = ...

local key_option = { "key?: engine.key_field|engine.key_field[]", "The packet fields that make the key." }
local any_key_option = { 'key?: engine.key_field|engine.key_field[]|"ip"|"number"|"string"',
  'The packet fields that make the key. Without, keys are values; `"ip"`, `"number"` and `"string"` say of which kind, which saves memory.' }

api.section {
  title = "distinct",
  class = "engine.distinct",
  what = "a distinct",
  text = [[
How many different keys there are, in 64 KiB, published each interval over all queues as `estimate`. The standard error is
0.4 % for large numbers and less for small ones; merging queues adds none.]],
  example = [[
local sources = engine.distinct { name = "sources", key = "src" }
function on_packet(p) sources:add(p) end]],
  methods = {
    { "add(p: engine.packet)", "With `key`: takes the packet's key." },
    { "add(key: engine.key)", "Without `key`: takes the value." },
  },
  options = { { "name: string", "The result's type." }, key_option },
}

api.section {
  title = "histogram",
  class = "engine.histogram",
  what = "a histogram",
  text = [[
How numbers are distributed, whole or not: `count`, `min`, `p50`, `p90`, `p99`, `p999`, `max` and `mean`, published each
interval over all queues. A percentile is at most 0.5 · 10^-`digits` of its value off (0.5 % with two digits); the others
are exact. What lies below 10^-9 counts as 0, what lies above `max` as `max` (and in `clamped`). Merging is exact.]],
  example = [[
local sizes = engine.histogram { name = "sizes" }
function on_packet(p) sizes:add(p.len) end]],
  methods = { { "add(value: number)", "Any number that is not negative." } },
  options = {
    { "name: string", "The result's type." },
    { "max?: number", "The largest value told apart; 1e15." },
    { "digits?: integer", "1 to 4; 2." },
  },
}

api.section {
  title = "map",
  class = "engine.map",
  what = "a map",
  text = [[
Your own table in native memory, up to millions of entries with typed fields, one per worker. An entry is valid for the
packet it was got for, and until 64 others were got; its fields are read and written by name, with their range checked. A new entry's fields are 0,
`false` and `""`. Numbers are exact to 2^53; texts longer than their field are cut. With `ttl` an entry goes when it has not
been got or put for so many seconds of packet time. When it is full, `put` gives nil, and nothing is thrown out.
With `name` it publishes `entries`, `added`, `expired`, `deleted` and `refused` each interval, summed over all queues.]],
  example = [[
local hosts = engine.map {
  key = "src", fields = { { "bytes", "u64" }, { "last", "time" }, { "name", "string", 64 } }, max = 1000000, ttl = 300,
}
function on_packet(p)
  local host, is_new = hosts:put(p)
  if not host then return end
  host.bytes, host.last = host.bytes + p.len, p.time
end]],
  methods = {
    { "get(p: engine.packet): engine.entry?", "With packet fields as `key`: the packet's entry, or nil." },
    { "get(key: engine.key): engine.entry?", "Else: the value's entry, or nil." },
    { "put(p: engine.packet): engine.entry?, boolean", "The entry, made if there was none, and whether it was; nil, counted, if the map is full." },
    { "put(key: engine.key): engine.entry?, boolean", "The same for a value." },
    { "delete(p: engine.packet): boolean", "Whether there was an entry." },
    { "delete(key: engine.key): boolean", "The same for a value." },
    { "count(): integer", "The entries of this worker's map; `#map` is the same." },
  },
  options = {
    { "name?: string", "The result's type; without, nothing is published." },
    any_key_option,
    { "fields: engine.map_field[]", 'As `{ "name", "type" }`; of a string also its most bytes: `{ "name", "string", 64 }`.' },
    { "max?: integer", "Entries that it holds at most; 65536." },
    { "ttl?: number", "Seconds; without, entries stay." },
  },
}

api.section {
  title = "set",
  class = "engine.set",
  what = "a set",
  text = [[
Membership of keys, up to millions, one set per worker. `add` says whether the key was new to this worker. With `name` it
publishes each interval `members` (all that were added so far), `new` and, with `list`, the new ones as `entries` (1000 at
most, the others in `more`): exact over all queues and all time. A file has one entry per line, behind # stands a comment;
it lies beside the plugin, or its path is one of the plugin's arguments. Entries written as addresses are addresses.]],
  example = [[
local hosts = engine.set { name = "new_hosts", key = "src", list = true }
function on_packet(p) hosts:add(p) end]],
  methods = {
    { "add(p: engine.packet): boolean?", "With packet fields as `key`: true if it was new, false if not; nil, counted, if the set is full." },
    { "add(key: engine.key): boolean?", "Else: the same for a value." },
    { "has(p: engine.packet): boolean", "Whether the packet's key is a member." },
    { "has(key: engine.key): boolean", "Whether the value is." },
    { "count(): integer", "The members of this worker's set; `#set` is the same." },
  },
  options = {
    { "name?: string", "The result's type; without, nothing is published." },
    any_key_option,
    { "max?: integer", "Members that it holds at most, beside those given; 65536." },
    { "ttl?: number", "Seconds after which an untouched member is forgotten; not together with `name`." },
    { "items?: (string|number|engine.address)[]", "Members from the beginning; they are not new and not in `members`." },
    { "file?: string", "The same from a file." },
    { "list?: boolean", "Whether the new ones are published by name." },
  },
}

api.section {
  title = "nets",
  class = "engine.nets",
  what = "a nets",
  text = [[
The longest of many networks that contains an address; IPv4 and IPv6, up to millions. Networks may have tags, as
`items = { ["10.0.0.0/8"] = "lan" }`; in a file the tag stands behind the network. Either all have one or none.]],
  example = [[
local zones = engine.nets { items = { ["10.0.0.0/8"] = "lan", ["0.0.0.0/0"] = "internet" } }
local seen = engine.counter { name = "zones" }
function on_packet(p) seen:add(zones:match(p.src) or "none") end]],
  methods = {
    { "match(address: engine.address): engine.net|string|nil", "The longest network that contains it, or its tag where there are tags; nil if none does." },
    { "has(address: engine.address): boolean", "Whether one contains it." },
    { "add(net: engine.net|string, tag?: string): boolean?", "True if it was new; nil, counted, if there is no room. The tag is one that is in use." },
    { "count(): integer", "How many there are; `#nets` is the same." },
  },
  options = {
    { "items?: table", "A list of networks, or networks with their tags." },
    { "file?: string", "The same from a file: one network per line, with its tag. It lies beside the plugin, or its path is one of the plugin's arguments." },
    { "max?: integer", "How many can be added beside those given; 4096." },
  },
}

api.section {
  title = "rate",
  class = "engine.rate",
  what = "a rate",
  text = [[
Events per second and key, exact over the last 7/8 to 8/8 of the window (in packet time), with a threshold. `on_above` is
called once when a key reaches `above` on this worker, and again after its rate has fallen below nine tenths of it; it is
called between batches. Published each interval: the keys at or above the threshold over all queues together, with their
`rate`, 1000 at most. Keys quiet for a window are forgotten; what finds no room is counted as `refused`.]],
  example = [[
local syns = engine.rate { name = "syns", key = "src", above = 1000,
  on_above = function(source, rate) engine.log("warn", "%s: %d SYN/s", source, rate) end }
function on_packet(p)
  if p.tcp_flags == 2 then syns:add(p) end
end]],
  methods = {
    { "add(p: engine.packet)", "With packet fields as `key`: one event." },
    { "add(key: engine.key, n?: integer)", "Else: `n` events, by default 1." },
    { "rate(p: engine.packet): number", "The rate of the packet's key on this worker now." },
    { "rate(key: engine.key): number", "The same for a value." },
    { "count(): integer", "The keys that this worker knows; `#rate` is the same." },
  },
  options = {
    { "name: string", "The result's type." },
    any_key_option,
    { "above: number", "The threshold, per second." },
    { "window?: number", "Seconds; 1." },
    { "on_above?: fun(key: any, rate: number)", "The key is the value, or the one field's value, or a table of the fields by name." },
    { "max?: integer", "Keys that it holds at most; 65536." },
  },
}

api.section {
  title = "flows",
  class = "engine.flows",
  what = "a flow table",
  text = [[
Bidirectional flows, up to millions per worker. Packets belong to one flow by addresses, ports, protocol and VLAN tags;
an ICMP echo and its reply are one flow (`src_port` is the type, `dst_port` the answer's), other ICMP messages are one way;
all fragments between two addresses are one flow with ports 0. A flow ends, with this `reason`: `idle`, no packet for so
long; `active`, its record got so long and is cut, the flow goes on in another one with the same `flow_id`; `fin` or `rst`,
two seconds after a TCP connection was closed or reset, or when another one began; `evicted`, the table was full (of eight
flows the one that would end first); `end` of the capture. Limits are exact, by the packets' own time stamps.

With `name` each ended flow is a line: `flow_id`, `community_id` (version 1, as in Zeek and Suricata), `src`, `dst`, `src_port`,
`dst_port` (from the side that began, by SYN or else by the first packet), `proto`, `vlan`, `inner_vlan` (if any), `first`, `last`,
`duration_s`, `state`, `reason`, `forward` and `reverse` (`packets`, `bytes`, `payload_bytes`; TCP also `flags` and
`retransmissions`), `rtt_ms`, `rtt_responder_ms`, `rtt_initiator_ms` (if known) and `user` (what is set). One more line of type
`NAME_table` counts: `active`, `began`, `ended`, `evicted`, `records_dropped`, `callbacks_lost`.
If two workers see the two directions, the collector joins the halves and marks them `"split":true`; a flow of one direction
then comes out five seconds after its idle limit. `flow_id` tells connections between the same ports apart where the
handshake was seen, and is the same for both halves.]],
  example = [[
local flows = engine.flows { name = "flows", user = { { "sni", "string", 64 } },
  on_end = function(f)
    if f.rtt_ms then engine.log("info", "%s: %.1f ms", f.dst, f.rtt_ms) end
  end }
function on_packet(p)
  local f = flows:add(p)
  local hello = f and tls.parse(p)
  if hello and hello.sni then f.user.sni = hello.sni end
end]],
  methods = {
    { "add(p: engine.packet): engine.flow?", "The packet's flow with the packet counted; nil if it is not IP." },
    { "count(): integer", "The flows of this worker's table." },
  },
  options = {
    { "name?: string", "The result's type; without, nothing is published, and there must be `on_end`." },
    { "idle?: number", "Seconds without a packet that end a flow; 60." },
    { "active?: number", "Seconds after which a record is cut; 300." },
    { "max?: integer", "Flows that it holds at most; 1000000." },
    { "user?: engine.map_field[]", 'Your own fields of a flow, as `{ "name", "type" }`; of a string also its most bytes (255): `{ "name", "string", 64 }`.' },
    { "on_end?: fun(f: engine.flow)", "Called between batches for each record that ended, on the worker that saw it." },
  },
}

api.section {
  title = "flow",
  class = "engine.flow",
  what = "a flow",
  text = [[
A flow as `flows:add(p)` and `on_end` give it, valid until the callback returns. Times and counts are of the record so far.
`f.user` has the fields that the table declares: they are read and written by name, with their range checked; one that was
not set is nil. Texts longer than their field are cut. A round trip is measured at the capture: `rtt_responder_ms` from SYN to
SYN/ACK, `rtt_initiator_ms` from there to the ACK; a part is nil if what began it was sent again. `retransmissions` are
segments with payload, SYN or FIN that begin below the highest sequence number seen, without keep-alives; what was reordered
counts too.]],
  fields = {
    { "src: engine.address", "The side that began." },
    { "dst: engine.address", "The other one." },
    { "src_port: integer", "ICMP: the type." },
    { "dst_port: integer", "ICMP: the answer's type, or the code." },
    { "proto: integer", "" },
    { "vlan: integer", "0: none." },
    { "inner_vlan: integer", "" },
    { "first: number", "Time of the record's first packet, as `p.time`." },
    { "last: number", "Time of its last packet." },
    { "duration_s: number", "" },
    { "state: string", "TCP: `syn_sent`, `syn_received`, `established`, `closing`, `closed`, `reset`; others `new`, and `established` when both sides have sent." },
    { "reason: string?", "Why it ended; in `on_end` only." },
    { "is_forward: boolean?", "Whether the packet goes from `src` to `dst`; nil in `on_end`." },
    { "packets: integer", "Both directions." },
    { "bytes: integer", "On the wire." },
    { "payload_bytes: integer", "" },
    { "retransmissions: integer", "" },
    { "forward_packets: integer", "From `src` to `dst`." },
    { "forward_bytes: integer", "" },
    { "forward_payload_bytes: integer", "" },
    { "forward_flags: integer", "All TCP flags seen." },
    { "forward_retransmissions: integer", "" },
    { "reverse_packets: integer", "From `dst` to `src`." },
    { "reverse_bytes: integer", "" },
    { "reverse_payload_bytes: integer", "" },
    { "reverse_flags: integer", "" },
    { "reverse_retransmissions: integer", "" },
    { "rtt_ms: number?", "The round trip of the handshake." },
    { "rtt_responder_ms: number?", "" },
    { "rtt_initiator_ms: number?", "" },
    { "flow_id: string", "16 hexadecimal digits." },
    { "community_id: string", "" },
    { "user: table<string, any>", "Your own fields." },
  },
}

api.alias("engine.entry", "table<string, any>", "an entry of a map: its fields by name")
api.alias("engine.map_field", "{ [1]: string, [2]: engine.type, [3]?: integer }", 'a field of a map: `{ "name", "type" }` or `{ "name", "string", bytes }`')
