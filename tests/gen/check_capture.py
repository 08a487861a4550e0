#!/usr/bin/python3
"""Reads a capture with scapy, rebuilds every packet with scapy's own lengths and checksums, and compares.

Prints one line per kind, "udp4 123", or says which packet differs and exits 1. Exit 77: scapy is missing.
"""
import collections
import sys

try:
    from scapy.all import DNS, Ether, ICMP, IP, IPv6, TCP, UDP, PcapReader, conf
    from scapy.layers.inet6 import ICMPv6EchoRequest
except ImportError:
    sys.exit(77)
conf.verb = 0


def kind_of(packet):
    version = "4" if IP in packet else "6"
    if packet.haslayer(DNS):
        return "dns" + version
    for layer, name in ((UDP, "udp"), (TCP, "tcp"), (ICMP, "icmp"), (ICMPv6EchoRequest, "icmp")):
        if layer in packet:
            return name + version
    return "unknown"


def rebuilt(frame):
    packet = Ether(frame)
    for layer, fields in ((IP, ("len", "chksum")), (IPv6, ("plen",)), (UDP, ("len", "chksum")), (TCP, ("chksum",)),
                          (ICMP, ("chksum",)), (ICMPv6EchoRequest, ("cksum",))):
        if layer in packet:
            for field in fields:
                delattr(packet[layer], field)
    return bytes(packet)


counts = collections.Counter()
for number, packet in enumerate(PcapReader(sys.argv[1]), 1):
    frame = bytes(packet.original)
    if rebuilt(frame) != frame:
        sys.exit(f"packet {number} differs from scapy's: {Ether(frame).summary()}")
    counts[kind_of(Ether(frame))] += 1
for kind, count in sorted(counts.items()):
    print(kind, count)
