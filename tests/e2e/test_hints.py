"""What the driver knows of a packet: on veth a hash, which the kernel computes, and a VLAN tag beside the frame, both of
frames from its own stack."""

import json
import platform

from conftest import ENGINE, finish, ledger, needs_root, sh

pytestmark = needs_root()

HASHES = """
local h = engine.record { name = "h", { "rss_hash", "u32" }, { "source", "string" } }
function on_packet(p) h:emit(p.rss_hash, p.ts_source) end
"""


def stack_traffic(net, payload=1):
    """Frames that the sender's stack made: those alone have a hash."""
    sh("ip", "-n", net.gen, "addr", "replace", "192.0.2.1/24", "dev", "gen0")
    sh("ip", "-n", net.gen, "neigh", "replace", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "gen0")
    sh(*net.inside(net.gen, "/usr/bin/python3", "-c", f"""
import socket
for port in range(10):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"x" * {payload}, ("192.0.2.2", 5000 + port))
"""))


def test_the_drivers_hash_is_there_where_it_was_asked_for(lab, tmp_path):
    for option, has_hash in (("on", True), ("off", False), ("auto", False)):
        net = lab()
        summary = tmp_path / f"summary-{option}"
        child = net.capture("--queues", 1, "--hints", option, "--eval", HASHES, "--summary", summary, "--filter",
                            "udp portrange 5000-5009")
        stack_traffic(net)
        status, lines = finish(child)
        assert status == 0 and ledger(summary)["totals"]["unaccounted"] == 0
        records = [line for line in map(json.loads, lines) if line["type"] == "h"]
        assert len(records) == 10
        assert all((record["rss_hash"] != 0) == has_hash for record in records)
        assert {record["source"] for record in records} == {"engine"}, "veth has no clock"
        assert any("asks the driver for" in line for line in child.log) == has_hash


TAG_BESIDE_THE_FRAME = """
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
SEC("tc") int push(struct __sk_buff* skb) {
  if (skb->len > 43) bpf_skb_vlan_push(skb, bpf_htons(0x88a8), 0x6000 | 7);
  bpf_skb_vlan_push(skb, bpf_htons(0x8100), 0x6000 | 42);
  return TC_ACT_OK;
}
"""
TAGS = """
local h = engine.record { name = "h", { "vlan", "u32" }, { "inner", "u32" }, { "len", "u32" }, { "port", "u32" } }
function on_packet(p) h:emit(p.vlan or 0, p.inner_vlan or 0, p.len, p.dst_port) end
"""


def test_a_tag_beside_the_frame_is_the_packets_own(lab, tmp_path):
    """The sender's driver leaves the tag to its peer, as a NIC does that takes it out: a second one is in the frame."""
    source, program = tmp_path / "push.c", tmp_path / "push.o"
    source.write_text(TAG_BESIDE_THE_FRAME)
    sh("clang", "-O2", "-g", "-target", "bpf", f"-I/usr/include/{platform.machine()}-linux-gnu", "-c", source, "-o", program)
    net = lab()
    sh(*net.inside(net.gen, "tc", "qdisc", "add", "dev", "gen0", "clsact"))
    sh(*net.inside(net.gen, "tc", "filter", "add", "dev", "gen0", "egress", "bpf", "da", "obj", program, "sec", "tc"))
    summary = tmp_path / "summary"
    child = net.capture("--queues", 1, "--hints", "on", "--eval", TAGS, "--summary", summary)
    stack_traffic(net)
    stack_traffic(net, payload=100)
    status, lines = finish(child)
    assert status == 0 and ledger(summary)["totals"]["unaccounted"] == 0
    records = [line for line in map(json.loads, lines) if line["type"] == "h"]
    # One tag, or the later outer one and the earlier in the frame.
    assert [(one["vlan"], one["inner"], one["len"], one["port"]) for one in records] == [
        *[(42, 0, 43, 5000 + port) for port in range(10)], *[(42, 7, 146, 5000 + port) for port in range(10)]]


def test_hints_that_cannot_be_had_are_refused_where_they_were_asked_for(lab):
    net = lab()
    child = net.start(net.cap, ENGINE, "--iface", "cap0", "--mode", "skb", "--hints", "on")
    _, error = child.communicate(timeout=30)
    assert child.returncode == 4 and "only native XDP has them" in error
