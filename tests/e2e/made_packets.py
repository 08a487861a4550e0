"""Packets that scapy and OpenSSL make: what the standard library's parsers are compared over."""

import ssl
import struct

import scapy.all as scapy


def client_hello(name, alpns, newest):
    """What OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    if alpns:
        context.set_alpn_protocols(alpns)
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(received, sent, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def dns_packets():
    s = scapy
    names = ["example.org", "WWW.Example.COM", "a", ".", "x" * 63 + ".test", "_sip._udp.example.org",
             ".".join(["label%d" % i for i in range(25)])]
    for number_of, name in enumerate(names):
        for kind in ("A", "AAAA", "MX", "TXT", "HTTPS", "PTR"):
            query = s.DNS(id=number_of * 77, rd=1, ad=number_of % 2, cd=number_of % 3 == 0,
                          qd=s.DNSQR(qname=name, qtype=kind))
            yield s.IP(dst="192.0.2.53") / s.UDP(sport=4000, dport=53) / query
            yield s.IPv6(dst="2001:db8::53") / s.UDP(sport=4000, dport=5353) / query
        # Each name of an answer is a pointer to the question's, as servers send it.
        records = [s.DNSRR(rrname=name, type="CNAME", ttl=300, rdata="cdn.example.net"),
                   s.DNSRR(rrname="cdn.example.net", type="A", ttl=60, rdata="198.51.100.7"),
                   s.DNSRR(rrname="cdn.example.net", type="AAAA", ttl=61, rdata="2001:db8::7"),
                   s.DNSRRMX(rrname=name, ttl=7, preference=10, exchange="mail." + name.strip("."))]
        for rcode in (0, 2, 3, 5):
            answer = s.DNS(id=9, qr=1, aa=rcode == 3, ra=1, rcode=rcode, qd=s.DNSQR(qname=name), an=records[0])
            for record in records[1:]:
                answer.an = answer.an / record
            answer.ancount = 4
            answer = s.dns_compress(answer)
            yield s.IP() / s.UDP(sport=53, dport=4000) / answer
            raw = bytes(answer)
            yield s.IP() / s.TCP(sport=53, dport=4000, flags="PA") / (struct.pack("!H", len(raw)) + raw)


def http_packets():
    s = scapy
    texts = [b"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: curl/8.5\r\nAccept: */*\r\n\r\n",
             b"POST /form?a=b HTTP/1.1\r\nhost:example.org:8080\r\nContent-Type: text/plain\r\n"
             b"Content-Length: 5\r\n\r\nhello",
             b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"HEAD http://example.org/ HTTP/1.0\r\n\r\n",
             b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\n\r\nok",
             b"HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length: 0\r\n\r\n",
             b"HTTP/1.0 301 Moved Permanently\r\nLocation: /\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"]
    for i, text in enumerate(texts):  # each in a connection of its own: the next one would be a retransmission
        ports = (80, 4000 + i) if text.startswith(b"HTTP/") else (4000 + i, 80)
        yield s.IP() / s.TCP(flags="PA", sport=ports[0], dport=ports[1]) / text


def tls_packets():
    s, port = scapy, 4000
    for name in ("example.org", "xn--bcher-kva.example", None):
        for alpns in ([], ["h2", "http/1.1"], ["http/1.0"]):
            for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                port += 1
                yield s.IP() / s.TCP(sport=port, dport=443, flags="PA") / client_hello(name, alpns, newest)


def header_packets():
    s = scapy
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (123456, 0)), ("NOP", None), ("WScale", 7)]
    yield s.IP(tos=0xb9, flags="DF", id=77, ttl=3) / s.TCP(flags="S", options=options)
    yield s.IP() / s.TCP(flags="SAECU", seq=4294967295, ack=1, window=65535, urgptr=5, options=[("MSS", 536)])
    yield s.IPv6(tc=0x2e, fl=0xabcde, hlim=1) / s.TCP(flags="FA", options=[("Timestamp", (1, 4294967295))])
    yield s.IP() / s.TCP(flags="R")
    yield s.IP() / s.ICMP(type=8, id=258, seq=7) / b"payload"
    yield s.IP() / s.ICMP(type=0, id=258, seq=65535)
    inner = s.IP(src="192.0.2.1", dst="192.0.2.2")
    yield s.IP() / s.ICMP(type=3, code=4, nexthopmtu=1400) / inner / s.UDP(sport=1111, dport=9999) / b"12345678"
    yield s.IP() / s.ICMP(type=11, code=0) / inner / s.TCP(sport=2222, dport=81)
    yield s.IPv6() / s.ICMPv6EchoRequest(id=5, seq=6)
    yield s.IPv6() / s.ICMPv6EchoReply(id=5, seq=6)
    inner = s.IPv6(src="2001:db8::1", dst="2001:db8::2")
    yield s.IPv6() / s.ICMPv6PacketTooBig(mtu=1280) / inner / s.UDP(sport=1111, dport=9999) / b"12345678"
    yield s.IPv6() / s.ICMPv6DestUnreach(code=4) / inner / s.TCP(sport=3333, dport=81)
    yield s.IPv6() / s.ICMPv6ND_NS(tgt="fe80::5")
    yield s.IPv6() / s.ICMPv6ND_NA(tgt="fe80::6")
    for fragment in s.fragment(s.IP(id=99) / s.UDP() / (b"x" * 3000), 1000):
        yield fragment
    yield s.ARP(op=1, hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", pdst="10.0.0.2")
    yield s.ARP(op=2, hwsrc="02:00:00:00:00:01", hwdst="02:00:00:00:00:02", psrc="10.0.0.1", pdst="10.0.0.2")


def write(path, packets):
    ether = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    scapy.wrpcap(str(path), [ether / packet for packet in packets])
    return path
