"""What the driver knows of a packet: on veth only a hash, which the kernel computes, of frames from its own stack."""

import json

from conftest import ENGINE, finish, ledger, needs_root, sh

pytestmark = needs_root()

HASHES = """
local h = engine.record { name = "h", { "rss_hash", "u32" }, { "source", "string" } }
function on_packet(p) h:emit(p.rss_hash, p.ts_source) end
"""


def stack_traffic(net):
    """Frames that the sender's stack made: those alone have a hash."""
    sh("ip", "-n", net.gen, "addr", "add", "192.0.2.1/24", "dev", "gen0")
    sh("ip", "-n", net.gen, "neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "gen0")
    sh(*net.inside(net.gen, "/usr/bin/python3", "-c", """
import socket
for port in range(10):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"x", ("192.0.2.2", 5000 + port))
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


def test_hints_that_cannot_be_had_are_refused_where_they_were_asked_for(lab):
    net = lab()
    child = net.start(net.cap, ENGINE, "--iface", "cap0", "--mode", "skb", "--hints", "on")
    _, error = child.communicate(timeout=30)
    assert child.returncode == 4 and "only native XDP has them" in error
