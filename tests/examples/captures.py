"""The captures that the examples are run over: made anew each time, always the same, by scapy and OpenSSL.

Each function gives a list of (ns since the beginning, packet); `make` writes it as a capture file. Addresses are those
of documentation and benchmarks (RFC 5737, RFC 3849, RFC 2544).
"""

import pathlib
import ssl
import struct
import sys

import scapy.all as scapy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from made_packets import client_hello  # noqa: E402 (needs the path)

BEGIN_NS = 1767268800 * 10**9  # 2026-01-01T12:00:00Z
MS, SECOND = 10**6, 10**9
ETHER = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def write(path, timed):
    """A pcap file with nanoseconds, of packets in the order of their times."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for at, packet in sorted(timed, key=lambda one: one[0]):
            raw = packet if isinstance(packet, bytes) else bytes(ETHER / packet)
            seconds, ns = divmod(BEGIN_NS + at, SECOND)
            out.write(struct.pack("<IIII", seconds, ns, len(raw), len(raw)) + raw)
    return path


def v4(number):
    return f"10.0.{number >> 8}.{number & 255}"


def v6(number):
    return f"2001:db8::{number:x}"


def mixed():
    """Four seconds of everything: the first hosts send most; others come later."""
    s, timed = scapy, []
    for i in range(1200):
        at = i * 10 * SECOND // 3000
        host = (i * i * 7 + i) % 59 % (4 + i // 20)
        if i % 10 < 5:
            tcp = s.TCP(sport=1024 + i % 200, dport=443, flags="PA")
            packet = s.IP(src=v4(host), dst="198.51.100.1") / tcp / (b"x" * (i % 900))
        elif i % 10 < 7:
            packet = s.IP(src=v4(host), dst="198.51.100.2") / s.UDP(sport=2000 + i % 100, dport=53) / b"question"
        elif i % 10 == 7:
            packet = s.IPv6(src=v6(host), dst="2001:db8:1::1") / s.UDP(sport=3000, dport=123) / (b"t" * 48)
        elif i % 10 == 8:
            packet = s.IP(src=v4(host), dst="198.51.100.3") / s.ICMP(id=host, seq=i)
        elif i % 20 == 9:
            packet = s.ARP(op=1, psrc=v4(host), pdst="10.0.0.1")
        else:
            packet = s.IPv6(src=v6(host), dst=v6(1)) / s.TCP(flags="A")
        timed.append((at, packet))
    timed.append((2500 * MS, s.IP(src="0.0.0.0", dst="255.255.255.255") / s.UDP(sport=68, dport=67) / b"discover"))
    return timed


def dns():
    s, timed = scapy, []
    names = ["www.example.org", "mail.example.org", "WWW.Example.ORG", "nosuch.example.org", "api.example.net",
             "down.test"]
    rcodes = {"nosuch.example.org": 3, "down.test": 2}
    for i in range(240):
        name = names[i * i % 11 % len(names)]
        kind = ("A", "AAAA", "HTTPS", "MX")[i % 7 % 4]
        query = s.DNS(id=i, rd=1, qd=s.DNSQR(qname=name, qtype=kind))
        rcode = 5 if i % 60 == 59 else rcodes.get(name, 0)
        answer = s.DNS(id=i, qr=1, rd=1, ra=1, rcode=rcode, qd=s.DNSQR(qname=name, qtype=kind))
        if rcode == 0 and kind == "A":
            answer.an, answer.ancount = s.DNSRR(rrname=name, type="A", ttl=60, rdata="198.51.100.7"), 1
        client = i % 17
        if i % 5 == 4:
            here, there = s.IPv6(src=v6(client), dst="2001:db8::53"), s.IPv6(src="2001:db8::53", dst=v6(client))
        else:
            here, there = s.IP(src=v4(client), dst="192.0.2.53"), s.IP(src="192.0.2.53", dst=v4(client))
        at = i * 12 * MS
        for later, ends, ports, message in ((0, here, (4000 + i, 53), query), (3 * MS, there, (53, 4000 + i), answer)):
            transport, payload = s.UDP(), bytes(message)
            if i % 12 == 11:
                transport, payload = s.TCP(flags="PA"), struct.pack("!H", len(payload)) + payload
            transport.sport, transport.dport = ports
            timed.append((at + later, ends / transport / payload))
    return timed


def old_hello(name):
    """A hello of TLS 1.0, as RFC 4346 and RFC 6066 have it: OpenSSL makes none any more."""
    host = name.encode()
    sni = struct.pack("!HHHBH", 0, len(host) + 5, len(host) + 3, 0, len(host)) + host
    suites = struct.pack("!HHH", 4, 0x002F, 0x0035)
    body = b"\x03\x01" + bytes(32) + b"\0" + suites + b"\x01\0" + struct.pack("!H", len(sni)) + sni
    handshake = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake


def tls():
    s, timed = scapy, []
    names = ["www.example.org", "www.example.org", "api.example.net", "xn--bcher-kva.example", None]
    for i in range(60):
        newest = ssl.TLSVersion.TLSv1_2 if i % 4 == 3 else ssl.TLSVersion.TLSv1_3
        hello = client_hello(names[i % 5], ["h2"] if i % 2 else [], newest)
        if i % 20 == 7:
            hello = old_hello("printer.example.org")
        ends = s.IPv6(src=v6(i % 9), dst="2001:db8:1::1") if i % 6 == 5 else s.IP(src=v4(i % 9), dst="198.51.100.1")
        port = 8443 if i % 10 == 9 else 443
        for later, seq, payload in ((0, 1, hello), (MS, 1 + len(hello), b"\x17\x03\x03\0\x02ab")):
            timed.append((i * 50 * MS + later, ends / s.TCP(sport=5000 + i, dport=port, flags="PA", seq=seq) / payload))
    # Cut within the name: the rest comes in the next segment.
    hello = old_hello("long-name.example.org")
    for at, part, seq in ((0, hello[:60], 1), (MS, hello[60:], 61)):
        tcp = s.TCP(sport=6000, dport=443, flags="PA", seq=seq)
        timed.append((700 * MS + at, s.IP(src=v4(77), dst="198.51.100.1") / tcp / part))
    return timed


def http():
    s, timed = scapy, []
    hosts = ["example.org", "Example.org:8080", "intranet.test", "example.org", None]
    answers = [b"200 OK", b"404 Not Found", b"200 OK", b"500 Internal Server Error", b"301 Moved Permanently",
               b"503 Busy", b"204 No Content"]
    for i in range(140):
        host, port = hosts[i % 5], 8080 if i % 3 == 2 else 80
        line = b"POST /form" if i % 4 == 3 else b"GET /"
        head = line + (b" HTTP/1.0\r\n" if host is None else b" HTTP/1.1\r\nHost: " + host.encode() + b"\r\n")
        head += b"User-Agent: test\r\n\r\n"
        answer = b"HTTP/1.1 " + answers[i % 7] + b"\r\nContent-Length: 0\r\n\r\n"
        client = i % 11
        if i % 8 == 7:
            here, there = s.IPv6(src=v6(client), dst="2001:db8:1::80"), s.IPv6(src="2001:db8:1::80", dst=v6(client))
        else:
            here, there = s.IP(src=v4(client), dst="198.51.100.80"), s.IP(src="198.51.100.80", dst=v4(client))
        at = i * 20 * MS
        timed.append((at, here / s.TCP(sport=7000 + i, dport=port, flags="PA", seq=1, ack=1) / head))
        back = s.TCP(sport=port, dport=7000 + i, flags="PA", seq=1, ack=1 + len(head))
        timed.append((at + 5 * MS, there / back / answer))
    return timed


def icmp():
    s, timed = scapy, []
    for i in range(100):
        timed.append((i * 25 * MS, s.IP(src=v4(i % 7), dst="198.51.100.9") / s.ICMP(type=8, id=i % 7, seq=i) / b"ping"))
        if i % 10 != 9:
            reply = s.ICMP(type=0, id=i % 7, seq=i) / b"ping"
            timed.append((i * 25 * MS + 2 * MS, s.IP(src="198.51.100.9", dst=v4(i % 7)) / reply))
        if i % 4 == 3:
            timed.append((i * 25 * MS + 4 * MS, s.IPv6(src=v6(1), dst=v6(2)) / s.ICMPv6EchoRequest(id=1, seq=i)))
        if i % 8 == 7:
            asked = s.IPv6(src="fe80::1", dst="ff02::1:ff00:2") / s.ICMPv6ND_NS(tgt="fe80::2")
            timed.append((i * 25 * MS + 5 * MS, asked))
    inner = s.IP(src="10.0.0.5", dst="203.0.113.7")
    inner6 = s.IPv6(src="2001:db8::5", dst="2001:db8:2::7")
    router, router6 = s.IP(src="192.0.2.1", dst="10.0.0.5"), s.IPv6(src="2001:db8::fe", dst="2001:db8::5")
    snmp, https = s.UDP(sport=1111, dport=161) / b"12345678", s.TCP(sport=2222, dport=443)
    errors = [s.IP(src="10.0.0.254", dst="10.0.0.5") / s.ICMP(type=3, code=3) / inner / snmp,
              router / s.ICMP(type=11, code=0) / inner / https,
              router / s.ICMP(type=3, code=4, nexthopmtu=1400) / inner / https,
              router6 / s.ICMPv6PacketTooBig(mtu=1280) / inner6 / s.TCP(sport=3333, dport=80),
              router6 / s.ICMPv6DestUnreach(code=4) / inner6 / s.UDP(sport=3333, dport=53) / b"12345678"]
    timed += [(i * 160 * MS + 7 * MS, errors[i % 5]) for i in range(15)]
    return timed


def segment(src, dst, sport, dport, flags, seq=0, ack=0, payload=b""):
    ends = scapy.IPv6(src=src, dst=dst) if ":" in src else scapy.IP(src=src, dst=dst)
    packet = ends / scapy.TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack)
    return packet / payload if payload else packet


def scans():
    """Two scanners among clients: 150 ports of one host, port 22 of 130 hosts; and one who asks one host for ever."""
    timed = []
    for i in range(150):
        timed.append((500 * MS + i * 50 * MS, segment("203.0.113.66", "198.51.100.10", 40000, 1 + i, "S", seq=i)))
        timed.append((501 * MS + i * 50 * MS, segment("198.51.100.10", "203.0.113.66", 1 + i, 40000, "RA", ack=i + 1)))
        if i % 3 == 0:  # sent again: the same pair
            timed.append((700 * MS + i * 50 * MS, segment("203.0.113.66", "198.51.100.10", 40000, 1 + i, "S", seq=i)))
    for i in range(130):
        probe = segment("2001:db8:66::1", f"2001:db8:1::{i + 1:x}", 50000 + i, 22, "S")
        timed.append((12 * SECOND + i * 100 * MS, probe))
    for i in range(300):
        timed.append((i * 90 * MS, segment(v4(3), "198.51.100.20", 20000 + i, 443, "S", seq=i)))
    for i in range(120):  # twelve clients of ten services
        syn = segment(v4(16 + i % 12), f"198.51.100.{30 + i % 10}", 30000 + i, 443, "S", seq=i)
        timed.append((i * 200 * MS + 3 * MS, syn))
    return timed


def syn_flood():
    """Two seconds of 1,500 SYN/s from one source and 400/s with forged ones to the same service, among connections."""
    timed = []
    flood = bytearray(bytes(ETHER / segment("203.0.113.99", "198.51.100.1", 1024, 443, "S")))
    for i in range(3000):
        flood[34:36] = struct.pack("!H", 1024 + i)
        timed.append((SECOND + i * 2 * SECOND // 3000, bytes(flood)))
    forged = bytearray(bytes(ETHER / segment("192.0.2.0", "198.51.100.1", 1024, 443, "S")))
    for i in range(800):
        forged[26:30] = bytes((172, 16 + i % 16, i * 7 % 256, i % 251))
        forged[34:36] = struct.pack("!H", 2048 + i)
        timed.append((SECOND + 311 + i * 2 * SECOND // 800, bytes(forged)))
    for i in range(200):
        client, port, at = v4(i % 20), 10000 + i, i * 20 * MS
        timed.append((at, segment(client, "198.51.100.1", port, 443, "S", seq=100)))
        timed.append((at + MS, segment("198.51.100.1", client, 443, port, "SA", seq=500, ack=101)))
        timed.append((at + 2 * MS, segment(client, "198.51.100.1", port, 443, "A", seq=101, ack=501)))
    return timed


def connection(timed, at, client, server, port, rtt_server, rtt_client, segments, again, ending, ask):
    """A whole connection; `again`: which of the server's segments are sent twice."""
    asked = 1001 + len(ask)

    def say(time, forward, flags, seq, ack, payload=b""):
        ends = (client, server, port, 443) if forward else (server, client, 443, port)
        timed.append((time, segment(*ends, flags, seq, ack, payload)))
    say(at, True, "S", 1000, 0)
    say(at + rtt_server, False, "SA", 9000, 1001)
    at += rtt_server + rtt_client
    say(at, True, "A", 1001, 9001)
    say(at + MS, True, "PA", 1001, 9001, ask)
    at += MS + rtt_server
    for i in range(segments):
        seq = 9001 + 500 * i
        say(at + i * MS, False, "PA", seq, asked, b"r" * 500)
        if i in again:
            say(at + i * MS + 300 * MS, False, "PA", seq, asked, b"r" * 500)
        say(at + i * MS + rtt_client + (300 * MS if i in again else 0), True, "A", asked, seq + 500)
    at += 400 * MS
    end = 9001 + 500 * segments
    if ending == "rst":
        say(at, True, "RA", asked, end)
    elif ending == "fin":
        say(at, True, "FA", asked, end)
        say(at + rtt_server, False, "FA", end, asked + 1)
        say(at + rtt_server + rtt_client, True, "A", asked + 1, end + 1)


def tcp():
    """Connections with known round trips; some segments are sent again, some connections are reset or not answered."""
    timed = []
    requests = [b"q" * 100, old_hello("www.example.org"), b"GET / HTTP/1.1\r\nHost: example.net\r\n\r\n"]
    for i in range(60):
        client, server = (v6(i % 9 + 1), "2001:db8:1::1") if i % 6 == 5 else (v4(i % 9 + 1), f"198.51.100.{1 + i % 3}")
        far = 600 if i == 33 else 0
        connection(timed, i * 70 * MS, client, server, 11000 + i,
                   (5 + 11 * i % 47 + far) * MS, (2 + 7 * i % 23) * MS // 2,
                   segments=2 + i % 4, again=(1,) if i % 10 == 4 else (), ending=("fin", "fin", "rst", "open")[i % 4],
                   ask=requests[i % 3])
    for i in range(6):  # nobody answers; the SYN is sent again
        syn = segment(v4(40 + i), "198.51.100.99", 12000, 443, "S", seq=7)
        timed += [(i * 500 * MS + wait, syn) for wait in (0, SECOND)]
    for i in range(20):  # and flows that are no connections
        ask = scapy.IP(src=v4(50 + i % 4), dst="192.0.2.53") / scapy.UDP(sport=13000 + i, dport=53) / b"question"
        tell = scapy.IP(src="192.0.2.53", dst=v4(50 + i % 4)) / scapy.UDP(sport=53, dport=13000 + i) / b"answer"
        timed += [(i * 150 * MS, ask), (i * 150 * MS + 4 * MS, tell)]
    return timed


# Which example runs over which capture, with which arguments.
CAPTURES = {"mixed": mixed, "dns": dns, "tls": tls, "http": http, "icmp": icmp, "scans": scans,
            "syn_flood": syn_flood, "tcp": tcp}
OF_EXAMPLE = {"hello": "mixed", "protocols": "mixed", "top_talkers": "mixed", "new_hosts": "mixed", "flows": "tcp",
              "tcp_rtt": "tcp", "dns_names": "dns", "tls_sni": "tls", "http_hosts": "http", "icmp": "icmp",
              "port_scan": "scans", "syn_flood": "syn_flood"}
ARGUMENTS = {"syn_flood": ",target=1500"}


def make(name, folder):
    return write(pathlib.Path(folder) / f"{name}.pcap", CAPTURES[name]())


if __name__ == "__main__":
    for name in CAPTURES:
        print(make(name, sys.argv[1]))
