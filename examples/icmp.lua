-- What does ICMP tell about the network? Messages by type and code of each second, all queues together; and one line
-- for each error: who says it, and about whose packet to whom.
--
--   {"ts":"2026-01-01T12:00:00.007000000Z","type":"icmp_error","plugin":"icmp",
--    "reporter":"10.0.0.254","error":"destination unreachable","code":3,
--    "src":"10.0.0.5","dst":"203.0.113.7","proto":17,"dst_port":161}  (one line)

filter = "icmp or icmp6"

local kinds = engine.counter { name = "icmp", key = { "ip_version", "icmp_type", "icmp_code" } }
local failed = engine.record {
  name = "icmp_error", { "reporter", "ip" }, { "error", "string" }, { "code", "u8" }, { "src", "ip", optional = true },
  { "dst", "ip", optional = true }, { "proto", "u8", optional = true }, { "dst_port", "u16", optional = true },
  { "mtu", "u32", optional = true },
}

function on_packet(p)
  kinds:add(p)
  local m = icmp.parse(p)
  if m and m.is_error then
    local what = m.type_name or "type " .. m.type
    failed:emit(p.src, what, m.code, m.inner_src, m.inner_dst, m.inner_proto, m.inner_dst_port, m.mtu)
  end
end
