"""--mode afpacket: copies of the traffic, which goes on to the stack. The same packets as AF_XDP sees, and a ledger that
closes with the sender's count."""

import json

import pytest
import conftest
import scapy.all as scapy

from conftest import ENGINE, finish, ledger, needs_root, refused, sh
from made_packets import dns_packets, header_packets

pytestmark = needs_root()

# Every field but the time, and a sum over all bytes.
EVERYTHING = """
local fields = { "len", "caplen", "queue", "hash", "eth_type", "vlan", "inner_vlan", "ip_version", "proto", "ttl",
  "tos", "src_port", "dst_port", "tcp_flags", "tcp_seq", "tcp_ack", "tcp_window", "icmp_type", "icmp_code", "l3_off",
  "l4_off", "payload_off", "payload_len", "src4", "dst4" }
local columns = { name = "packet", { "src", "ip" }, { "dst", "ip" }, { "fragment", "bool" }, { "sum", "u64" } }
for _, field in ipairs(fields) do columns[#columns + 1] = { field, "u32" } end
local packet = engine.record(columns)
function on_packet(p)
  local sum = 0
  for i = 0, p.caplen - 1 do sum = (sum * 31 + p:u8(i)) % 4294967291 end
  packet:emit(p.src, p.dst, p.is_fragment, sum, p.len, p.caplen, p.queue, p.hash, p.eth_type, p.vlan, p.inner_vlan,
    p.ip_version, p.proto, p.ttl, p.tos, p.src_port, p.dst_port, p.tcp_flags, p.tcp_seq, p.tcp_ack, p.tcp_window,
    p.icmp_type, p.icmp_code, p.l3_off, p.l4_off, p.payload_off, p.payload_len, p.src4, p.dst4)
end
"""
STALLING = "function on_packet(p) local x = 0 for i = 1, 20000 do x = x + i % 7 end if x < 0 then p:capture() end end"
COUNT = 'local way = engine.counter { name = "way", key = "outgoing" } function on_packet(p) way:add(p) end'


def tagged(*vlans):
    frame = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for number, vlan in enumerate(vlans):
        inner = number + 1 < len(vlans)
        frame = frame / scapy.Dot1Q(vlan=vlan, prio=number * 5, type=0x8100 if inner else 0x0800)
    return frame


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A capture file of frames of every kind, tagged and not."""
    path = tmp_path_factory.mktemp("frames") / "frames.pcap"
    made = [tagged() / packet for packet in [*header_packets(), *list(dns_packets())[:60]]]
    udp = scapy.IP(src="10.0.0.1", dst="10.0.0.2") / scapy.UDP(sport=7, dport=9)
    for vlans in ((42,), (4094,), (7, 8)):
        made += [tagged(*vlans) / udp / (b"%d" % i * (i + 1)) for i in range(20)]
    service = tagged(100, 200) / udp / b"802.1ad"
    service.type = 0x88a8
    made.append(service)
    made.append(tagged(5) / scapy.IP() / scapy.TCP(sport=1, dport=2, flags="S"))
    scapy.wrpcap(str(path), made)
    return path, len(made)


@pytest.fixture
def patient(tmp_path):
    def options(code):
        (tmp_path / "analyzer.lua").write_text(code)
        return conftest.patient(tmp_path, tmp_path / "analyzer.lua")
    return options


def results(lab, mode, path, *options):
    """The results of one run over the frames, as text without the time."""
    net = lab()
    capture = net.capture("--queues", 1, "--mode", mode, *options)
    net.generate("--replay", path, "--rate", 5000)
    status, lines = finish(capture)
    assert status == 0, capture.log
    said = [json.loads(line) for line in lines]
    for one in said:
        one.pop("ts", None)
    return [json.dumps(one) for one in said if one["type"] == "packet"]


@pytest.mark.parametrize("options", [(), ("--filter", "vlan 7 or (vlan and udp) or arp"), ("--filter", "greater 200")])
def test_a_tap_tells_of_the_same_frames_what_af_xdp_tells(lab, frames, patient, options):
    path, count = frames
    copied, tapped = (results(lab, mode, path, *patient(EVERYTHING), *options) for mode in ("copy", "afpacket"))
    assert tapped == copied
    assert options or len(tapped) == count


def test_a_tap_receives_jumbo_frames_whole(lab, patient, tmp_path):
    net = lab(mtu=9000)
    sizes = (1514, 4000, 8999, 9014)
    made = [tagged() / scapy.IP() / scapy.UDP() / bytes(size - 42) for size in sizes]
    scapy.wrpcap(str(tmp_path / "jumbo.pcap"), made)
    capture = net.capture("--mode", "afpacket", *patient(EVERYTHING))
    sender = ("from scapy.all import *; sendp(rdpcap('%s'), iface='gen0', verbose=0)" % (tmp_path / "jumbo.pcap"))
    sh(*net.inside(net.gen, "/usr/bin/python3", "-c", sender))
    status, lines = finish(capture)
    assert status == 0, capture.log
    said = [json.loads(line) for line in lines]
    assert [(one["len"], one["caplen"], one["payload_len"]) for one in said if one["type"] == "packet"] == [
        (size, size, size - 42) for size in sizes]


def assert_closed(run, sent):
    for queue in run["queues"]:
        assert queue["unaccounted"] == 0, queue
        assert queue["mode"] == "afpacket"
    assert run["totals"]["xdp_seen"] == sent["sent"] - refused(sent)


def test_under_overload_the_ledger_closes_with_the_senders_count(lab, patient, tmp_path):
    net = lab()
    capture = net.capture("--mode", "afpacket", "--tap-ring", "1MiB", *patient(STALLING), "--output", "none",
                          "--summary", tmp_path / "ledger.json")
    sent = net.generate("--method", "live", "--count", 200000)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["rx_dropped"] > 0, "the ring was meant to overflow"
    assert_closed(run, sent)


def test_flows_are_dealt_to_all_sockets_of_a_group(lab, tmp_path):
    net = lab()
    capture = net.capture("--mode", "afpacket", "--queues", 4, "--workers", 1, "--filter", "udp and not port 53",
                          "--output", "none", "--summary", tmp_path / "ledger.json")
    sent = net.generate("--method", "live", "--count", 20000, "--flows", 500, "--rate", 50000)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert len(run["queues"]) == 4
    for queue in run["queues"]:
        assert queue["analysed"] > 1000
    assert run["totals"]["analysed"] == sent["sent"] - refused(sent)
    assert_closed(run, sent)


def test_a_taps_workers_sleep_unless_told_to_spin(lab):
    """One worker on a machine of several cores would spin for AF_XDP's packets; a tap's come in blocks."""
    for wait, said in (("auto", "sleeping in poll()"), ("spin", "spinning")):
        capture = lab().capture("--mode", "afpacket", "--workers", 1, "--wait", wait, "--output", "none")
        assert finish(capture)[0] == 0
        assert any(said in line for line in capture.log), capture.log


def test_what_the_filter_rejects_is_counted_as_passed(lab, tmp_path):
    net = lab()
    capture = net.capture("--mode", "afpacket", "--filter", "src host 10.0.0.1", "--output", "none",
                          "--summary", tmp_path / "ledger.json")
    sent = net.generate("--method", "live", "--count", 10000, "--flows", 10, "--rate", 50000)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["analysed"] == 1000
    assert run["totals"]["passed"] == 9000
    assert_closed(run, sent)


def pinged(lab, patient, *options):
    """A run while the other side pings ten times; how many packets went which way, by the tap."""
    net = lab()
    for namespace, device, address in ((net.cap, "cap0", "10.9.0.1/24"), (net.gen, "gen0", "10.9.0.2/24")):
        sh("ip", "-n", namespace, "address", "add", address, "dev", device)
    sh("ip", "-n", net.cap, "route", "add", "default", "via", "10.9.0.2")
    capture = net.capture("--mode", "afpacket", "--filter", "icmp", *patient(COUNT), *options)
    sh(*net.inside(net.gen, "ping", "-q", "-c", 10, "-i", 0.02, "10.9.0.1"))  # fails if the answers don't come
    status, lines = finish(capture)
    assert status == 0, capture.log
    ways = {False: 0, True: 0}
    for line in lines:
        for entry in json.loads(line).get("entries", []):
            ways[entry["outgoing"]] += entry["packets"]
    return ways


def test_traffic_reaches_the_stack_and_both_directions_are_seen_and_marked(lab, patient):
    assert pinged(lab, patient) == {False: 10, True: 10}


@pytest.mark.parametrize("sockets", [1, 2])
def test_outgoing_frames_are_ignored_where_that_is_asked_for(lab, patient, sockets):
    assert pinged(lab, patient, "--outgoing", "ignore", "--queues", sockets) == {False: 10, True: 0}


def test_a_tap_blocks_nothing_and_says_so(lab, patient, tmp_path):
    net = lab()
    blocking = """
      uses = { "block" }
      function on_packet(p) assert(engine.block(p.src, 1) == false) assert(p.ts_source == "kernel") end
    """
    capture = net.capture("--mode", "afpacket", *patient(blocking), "--output", "none",
                          "--summary", tmp_path / "ledger.json")
    sent = net.generate("--method", "live", "--count", 1000, "--rate", 50000)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert run["plugins"][0]["errors"] == 0
    assert run["plugins"][0]["actions_refused"] == run["totals"]["analysed"] == 1000
    assert_closed(run, sent)

    (tmp_path / "list").write_text("10.0.0.1\n")
    done = sh(*net.inside(net.cap, ENGINE, "--iface", "cap0", "--mode", "afpacket", "--block", tmp_path / "list"),
              check=False)
    assert done.returncode == 2
    assert "--block: AF_PACKET takes copies" in done.stderr
    done = sh(*net.inside(net.cap, ENGINE, "--iface", "cap0:0", "--mode", "afpacket"), check=False)
    assert done.returncode == 2
    assert "queues of cap0: AF_PACKET knows no receive queues" in done.stderr
