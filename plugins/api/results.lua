-- Native structures and results.

local api = ...

api.section {
  title = "counter",
  class = "engine.counter",
  what = "a counter",
  text = [[
Packets and bytes per key, published each interval over all queues, the most frequent first. Exact until `max` keys; what
comes then is counted as `overflow`. With `key` it counts packets by their fields; without, whatever is given.]],
  example = [[
local ports = engine.counter { name = "ports", key = { "proto", "dst_port" } }
function on_packet(p) ports:add(p) end]],
  methods = {
    { "add(p: engine.packet)", "With `key`: counts the packet." },
    { "add(key: engine.key, n?: integer)", "Without `key`: adds `n`, by default 1." },
  },
  options = {
    { "name: string", "The result's type." },
    { "key?: engine.key_field|engine.key_field[]", "The packet fields that make the key." },
    { "max?: integer", "Keys that it holds at most; 65536." },
  },
}

api.section {
  title = "topk",
  class = "engine.topk",
  what = "a topk",
  text = [[
The k most frequent keys, published each interval over all queues with `error`: by how much a count may be too high
(0 as long as there are few enough different keys).]],
  example = [[
local talkers = engine.topk { name = "talkers", key = "src", k = 10 }
function on_packet(p) talkers:add(p) end]],
  methods = {
    { "add(p: engine.packet)", "With `key`: counts the packet." },
    { "add(key: engine.key, n?: integer)", "Without `key`: adds `n`, by default 1." },
  },
  options = {
    { "name: string", "The result's type." },
    { "key?: engine.key_field|engine.key_field[]", "The packet fields that make the key." },
    { "k?: integer", "How many are published; 20." },
  },
}

api.section {
  title = "record",
  class = "engine.record",
  what = "a record",
  text = [[
A typed result, one line per `emit`. Fields are given in order as `{ "name", "type" }` or `{ "name", "type", optional = true }`;
types are `u8 u16 u32 u64 i64 f64 bool ip mac time string`. Values are range-checked; strings and macs may be views.]],
  example = [[
local probe = engine.record { name = "probe", { "client", "ip" }, { "port", "u16" } }
function on_packet(p) probe:emit(p.src, p.dst_port) end]],
  methods = {
    { "emit(...: any): boolean", "A value for each field, in order. False, counted, if the output queue is full." },
  },
  options = {
    { "name: string", "The result's type." },
    { "[integer]: engine.record_field", "A field." },
  },
}

-- KeySpec::known_fields in plugins/key.cpp.
local key_fields = {
  "src", "dst", "proto", "src_port", "dst_port", "src4", "dst4", "ip_version", "eth_type", "vlan", "inner_vlan", "queue", "len",
  "caplen", "hash", "rss_hash", "ttl", "tos", "tcp_flags", "tcp_window", "tcp_seq", "tcp_ack", "icmp_type", "icmp_code",
  "l3_off", "l4_off", "payload_off", "payload_len", "is_fragment", "outgoing",
}
for i, name in ipairs(key_fields) do key_fields[i] = '"' .. name .. '"' end

api.alias("engine.key", "string|number|engine.address|engine.view", "what a key can be: a string, number, address or view")
api.alias("engine.key_field", table.concat(key_fields, "|"),
  "a packet field that can be a key: any of them but `time` and `ts_source`")
api.alias("engine.record_field", "{ [1]: string, [2]: engine.type, optional?: boolean }", 'a field of a record: `{ "name", "type" }`')
api.alias("engine.type", '"u8"|"u16"|"u32"|"u64"|"i64"|"f64"|"bool"|"ip"|"mac"|"time"|"string"',
  "`u8 u16 u32 u64 i64 f64 bool ip mac time string`")
