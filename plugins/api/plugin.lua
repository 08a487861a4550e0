-- What a plugin is made of: the globals that it sets, and what it finds.
--
-- The files of this folder are plain data: everything that a plugin's author sees, each thing once. The reference, the
-- definitions for editors and what `engine check` knows are made of them; a test compares them with the running library
-- in both directions. A function is written "name(parameter: type, optional?: type): result", anything else
-- "name: type"; the types are LuaLS's (https://luals.github.io/wiki/annotations).

local api = ...

api.section {
  title = "A plugin",
  text = [[
A plugin is a Lua file that sets some of the globals below; any other global is an error at load, so make everything else
`local`. Each worker runs the file in a state of its own: nothing is shared, results are merged by the engine.]],
  example = [[
local protocols = engine.counter { name = "protocols", key = "proto" }

function on_packet(p) protocols:add(p) end]],
  settings = {
    { "filter?: string", "What the plugin needs, in tcpdump's language; every packet if it is not set." },
    { "interval?: number", "Seconds between two ticks and two results of a structure: 0.001 to 86400, 1 by default." },
    { "uses?: string[]", 'What the plugin may ask of the kernel: `"block"` for `engine.block`, `"bypass"` for `p:bypass`, `"rate"` for `engine.rate_limit`.' },
  },
  hooks = {
    { "on_start(info: engine.info)", "Once, before the first packet." },
    { "on_packet(p: engine.packet)", "For each packet that matches `filter`. The hot one: it is compiled into the batch loop." },
    { "on_batch(batch: engine.batch)", "Instead of on_packet, for those who want the loop themselves." },
    { "on_tick(now: number)", "At the end of each interval, per worker; `now` is in the unit of `p.time`." },
    { "on_stop()", "Once, after the last packet." },
    { "on_save(): table?", "When a reload puts a new version in this one's place: what it returns, plain values, is `info.saved` of the new one's on_start." },
  },
  globals = {
    { "args: table<string, any>", "The arguments: `--plugin x.lua,k=20` gives `args.k` the number 20; true and false are booleans." },
    { "ip(text: string): engine.address", 'An address: `ip"10.0.0.1"`, `ip"2001:db8::1"`. Parsed once per text.' },
    { "net(text: string): engine.net", 'A network: `net"10.0.0.0/8"`. Parsed once per text.' },
    { "require(name: string): any", "A module beside the plugin: `require \"util\"` runs util.lua once and gives what it returns." },
    { "print(...: any)", "The same as `engine.log(\"info\", ...)`." },
  },
}

api.section {
  title = "What on_start gets",
  class = "engine.info",
  fields = {
    { "interface: string", "The interface's name, or the capture file's." },
    { "queues: integer[]", "The receive queues that this worker serves." },
    { "worker: integer", "This worker's number, from 0." },
    { "workers: integer", "How many there are: each sees its share of the packets." },
    { "cpu?: integer", "The CPU that it runs on; nil if it is not bound to one." },
    { "node?: integer", "That CPU's NUMA node; nil if unknown." },
    { "saved?: table", "What on_save of the version before returned; nil if there was none." },
  },
}

api.section {
  title = "engine",
  library = "engine",
  text = [[
Declare structures while the plugin loads or in on_start. Options are given as a table: `engine.counter { name = "x" }`.]],
  functions = {
    { "counter(options: engine.counter_options): engine.counter", "Packets and bytes per key." },
    { "topk(options: engine.topk_options): engine.topk", "The most frequent keys, with their error bound." },
    { "distinct(options: engine.distinct_options): engine.distinct", "How many different keys." },
    { "histogram(options: engine.histogram_options): engine.histogram", "Percentiles of numbers." },
    { "map(options: engine.map_options): engine.map", "Your own table in native memory." },
    { "set(options: engine.set_options): engine.set", "Membership, and what is new." },
    { "nets(options: engine.nets_options): engine.nets", "The longest network that contains an address." },
    { "rate(options: engine.rate_options): engine.rate", "Events per second, with a threshold." },
    { "flows(options: engine.flows_options): engine.flows", "Connections: both directions, state, round trips." },
    { "record(options: engine.record_options): engine.record", "A typed result." },
    { "emit(name: string, members: table): boolean",
      "A rare result of any shape: one line with these members. False, counted, if the output queue is full." },
    { 'log(level: "error"|"warn"|"info"|"debug", text: any, ...: any)',
      "A line of log, limited to 10 and then one a second; `text` is a template as for string.format." },
    { "block(target: engine.address|engine.net|string, seconds: number): boolean",
      'Have packets from this address or network dropped in the kernel, for so long; `"10.0.0.0/8"` works too. Needs `uses = { "block" }`. True: handed on, and in effect some milliseconds later; asking again extends it. False, counted: a capture file has no kernel, or there is no room. The machine\'s own addresses and gateways, and what `--never-block` lists, are never blocked.' },
    { "rate_limit(max_pps: number, seconds: number): boolean",
      'Have the kernel drop what any source address sends above so many packets a second, for so long. Needs `uses = { "rate" }`. The lowest limit of all plugins and of `--rate-limit` is in force: a plugin cannot loosen another\'s; its next call takes the place of its last. True: handed on; asking again extends it. False, counted: a capture file has no kernel, AF_PACKET cannot drop.' },
    { "now(): number", "The time of the current packet or tick, in the unit of `p.time`." },
    { "date(at?: number): string", "A time as text, RFC 3339 with nanoseconds; without `at`: now." },
  },
  values = {
    { "epoch_ns: integer", "What `p.time` counts from: ns since 1970 as a 64-bit value." },
  },
}
