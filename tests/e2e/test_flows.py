"""engine.flows over a capture file: what tshark says of the same packets, and the same bytes with any number of workers."""

import collections
import json
import random

import pytest

pytest.importorskip("scapy", reason="needs python3-scapy")
from scapy.all import Dot1Q, Ether, ICMP, IP, IPv6, TCP, UDP, wrpcap  # noqa: E402

from conftest import ENGINE, sh  # noqa: E402

PLUGIN = """
local flows = engine.flows { name = "flows", idle = 20 }
function on_packet(p) flows:add(p) end
"""
CONNECTIONS = 60


class Conversation:
    """TCP as it is on the wire, some of it sent again: 5 ms apart at least, as tshark takes what is closer for
    reordered."""

    def __init__(self, number, rng):
        self.number, self.rng, self.packets = number, rng, []
        self.at = 1_700_000_000 + number * 0.37
        self.v6, self.vlan = number % 5 == 0, number % 7 == 0
        self.next = {True: rng.randrange(1 << 32), False: rng.randrange(1 << 32)}
        if number % 3 == 0:
            self.next[True] = (1 << 32) - 700  # wraps

    def send(self, forward, flags, payload=0, seq=None):
        seq = self.next[forward] if seq is None else seq
        client, server = ("2001:db8::1", "2001:db8::2") if self.v6 else ("10.3.0.1", "10.3.0.2")
        src, dst = (client, server) if forward else (server, client)
        ports = (20000 + self.number, 443) if forward else (443, 20000 + self.number)
        ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        packet = (ether / Dot1Q(vlan=9) if self.vlan else ether) / (IPv6 if self.v6 else IP)(src=src, dst=dst)
        packet = packet / TCP(sport=ports[0], dport=ports[1], flags=flags, seq=seq % (1 << 32),
                              ack=self.next[not forward] % (1 << 32) if "A" in flags else 0, window=60000)
        packet = packet / (b"x" * payload)
        packet.time = self.at
        self.at += self.rng.uniform(0.005, 0.05)
        self.packets.append(packet)
        length = payload + ("S" in flags) + ("F" in flags)
        if (seq + length - self.next[forward]) % (1 << 32) < 1 << 31:
            self.next[forward] = (seq + length) % (1 << 32)

    def run(self):
        rng = self.rng
        self.send(True, "S")
        self.send(False, "SA")
        self.send(True, "A")
        for _ in range(rng.randrange(2, 12)):
            forward = rng.random() < 0.5
            begin = self.next[forward]
            self.send(forward, "PA", payload := rng.randrange(2, 1200))
            if rng.random() < 0.3:
                self.send(forward, "PA", payload, seq=begin)
            self.send(not forward, "A")
            if rng.random() < 0.2:
                self.send(forward, "A", 0, seq=self.next[forward] - 1)  # a keep-alive
                self.send(not forward, "A")
        if self.number % 4 == 0:
            self.send(True, "RA")
        else:
            self.send(True, "FA")
            self.send(False, "FA")
            self.send(True, "A")
        return self.packets


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    rng = random.Random(5)
    packets = [p for number in range(CONNECTIONS) for p in Conversation(number, rng).run()]
    for i in range(40):
        question = Ether() / IP(src="10.3.1.1", dst=f"10.3.2.{i % 9}") / UDP(sport=3000 + i, dport=53) / b"q"
        answer = Ether() / IP(src=f"10.3.2.{i % 9}", dst="10.3.1.1") / UDP(sport=53, dport=3000 + i) / b"answer"
        echo = Ether() / IP(src="10.3.1.2", dst="10.3.2.2") / ICMP(type=8)
        for k, packet in enumerate((question, answer, echo)):
            packet.time = 1_700_000_000 + i * 0.4 + k * 0.01
            packets.append(packet)
    packets.sort(key=lambda packet: packet.time)
    path = tmp_path_factory.mktemp("flows") / "flows.pcap"
    wrpcap(str(path), packets)
    return path


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "flows.lua"
    path.write_text(PLUGIN)
    return path


def flows_of(capture, plugin, *options):
    out = sh(ENGINE, "--pcap", capture, "--plugin", plugin, *options).stdout
    return out, [line for line in map(json.loads, out.splitlines()) if line["type"] == "flows"]


def tshark(capture, wanted, *fields):
    options = [word for field in fields for word in ("-e", field)]
    done = sh("tshark", "-n", "-r", capture, "--enable-protocol", "communityid", "-Y", wanted, "-T", "fields", *options)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_every_packet_is_in_the_flow_that_tshark_puts_it_into(capture, plugin):
    ours = collections.Counter()
    for flow in flows_of(capture, plugin)[1]:
        ours[flow["community_id"]] += flow["forward"]["packets"] + flow["reverse"]["packets"]
    theirs = collections.Counter(row[0] for row in tshark(capture, "ip or ipv6", "communityid"))
    assert len(theirs) == CONNECTIONS + 41
    assert ours == theirs


def test_retransmissions_are_those_that_tshark_finds(capture, plugin):
    theirs = collections.Counter(row[0] for row in tshark(capture, "tcp.analysis.retransmission", "communityid"))
    ours = {flow["community_id"]: flow["forward"]["retransmissions"] + flow["reverse"]["retransmissions"]
            for flow in flows_of(capture, plugin)[1] if flow["proto"] == 6}
    assert sum(theirs.values()) > 50
    assert {key: n for key, n in ours.items() if n} == theirs


def test_the_round_trip_is_the_one_that_tshark_computes(capture, plugin):
    theirs = {key: float(rtt) for key, rtt in tshark(capture, "tcp.analysis.initial_rtt", "communityid",
                                                     "tcp.analysis.initial_rtt")}
    ours = {flow["community_id"]: flow["rtt_ms"] for flow in flows_of(capture, plugin)[1] if "rtt_ms" in flow}
    assert len(ours) == CONNECTIONS
    assert ours == pytest.approx({key: rtt * 1e3 for key, rtt in theirs.items()}, abs=1e-3)


def test_states_and_reasons(capture, plugin):
    flows = flows_of(capture, plugin)[1]
    tcp = collections.Counter((flow["state"], flow["reason"]) for flow in flows if flow["proto"] == 6)
    # The last ones linger when the file ends.
    assert tcp["reset", "rst"] + tcp["reset", "end"] == CONNECTIONS / 4
    assert tcp["closed", "fin"] + tcp["closed", "end"] == CONNECTIONS * 3 / 4
    assert tcp["reset", "rst"] > CONNECTIONS / 5 and tcp["closed", "fin"] > CONNECTIONS / 2
    assert {flow.get("vlan") for flow in flows if flow["proto"] == 6} == {None, 9}
    assert {flow["state"] for flow in flows if flow["proto"] == 17} == {"established"}


@pytest.mark.parametrize("workers", [2, 5])
def test_the_number_of_workers_changes_no_byte(capture, plugin, workers):
    assert flows_of(capture, plugin, "--workers", workers)[0] == flows_of(capture, plugin)[0]
