"""Suricata as a tracker of flows and nothing else, at the settings that are best for it; and how its counts are read.

Not its AF_XDP way: on veth 7.0.10 finds "0 queues" and does not start.
"""

import json
import pathlib

CONFIG = """%YAML 1.1
---
default-log-dir: {folder}
# What it counted, once at the end: nothing is written while packets flow.
stats: {{enabled: yes, interval: 86400}}
outputs:
  - eve-log: {{enabled: yes, filetype: regular, filename: eve.json, types: [{{stats: {{totals: yes, threads: no}}}}]}}
logging:
  default-log-level: notice
  outputs: [{{console: {{enabled: yes}}}}]

af-packet:
  - interface: {interface}
    # One thread, as all others here have one, on a core of its own (below).
    threads: 1
    cluster-id: 99
    cluster-type: cluster_flow
    # The traffic has no fragments; reassembly in the kernel would cost something all the same.
    defrag: no
    # The memory-mapped ring whose blocks hold packets as long as they are: its fastest way of AF_PACKET.
    use-mmap: yes
    tpacket-v3: yes
    # In packets of the largest size; of small ones it holds eight times as many: a pause of 50 ms loses nothing.
    ring-size: {ring_packets}
    # Large blocks make few wake-ups; 10 ms is also what libpcap waits here.
    block-size: 1048576
    block-timeout: 10
    # The generator's checksums are right, and nobody is asked to look.
    checksum-checks: no
pcap-file: {{checksum-checks: no}}
# Else it switches GRO off, and with it veth's NAPI, without which no XDP frame is taken. Nothing here can be merged by it.
capture: {{disable-offloading: no}}

max-pending-packets: 4096
threading:
  set-cpu-affinity: yes
  cpu-affinity:
    # The rest shares the sender's core, as the engine's other threads do.
    - management-cpu-set: {{cpu: [{other_core}]}}
    - receive-cpu-set: {{cpu: [{core}]}}
    - worker-cpu-set: {{cpu: [{core}], mode: exclusive}}

# Flow tracking: the same time-outs as the engine's flow table (60 s idle), room for all flows made beforehand.
flow: {{memcap: 256mb, hash-size: 65536, prealloc: {flows}, emergency-recovery: 30}}
flow-timeouts:
  default: &all {{new: 60, established: 60, closed: 1, emergency-new: 10, emergency-established: 10, emergency-closed: 0}}
  tcp: *all
  udp: *all
  icmp: *all
vlan: {{use-for-tracking: true}}
# Nothing looks into payloads: no application layer, no content for detection.
app-layer: {{protocols: {{{protocols}}}}}
stream: {{memcap: 64mb, checksum-validation: no, prealloc-sessions: 2048, midstream: true,
         reassembly: {{memcap: 16mb, depth: 1, raw: no}}}}
host: {{hash-size: 4096, prealloc: 0, memcap: 16mb}}
defrag: {{memcap: 16mb, hash-size: 4096, trackers: 1024, max-frags: 4096, prealloc: no, timeout: 60}}
# No rules.
default-rule-path: {folder}
rule-files: []
"""

PROTOCOLS = ("http", "http2", "ftp", "ftp-data", "smtp", "tls", "ssh", "imap", "smb", "dcerpc", "nfs", "ntp", "tftp", "ike",
             "krb5", "quic", "dhcp", "snmp", "sip", "rfb", "mqtt", "pgsql", "telnet", "rdp", "bittorrent-dht", "modbus",
             "dnp3", "enip")


def write_config(folder, *, interface, core, other_core, flows, ring_packets):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "suricata.yaml"
    protocols = ", ".join([f"{name}: {{enabled: no}}" for name in PROTOCOLS] +
                          ["dns: {tcp: {enabled: no}, udp: {enabled: no}}"])
    path.write_text(CONFIG.format(folder=folder, interface=interface, core=core, other_core=other_core, flows=flows,
                                  ring_packets=ring_packets, protocols=protocols))
    return path


def final_counts(folder):
    """The counters that it wrote when it ended."""
    lines = (pathlib.Path(folder) / "eve.json").read_text().splitlines()
    return json.loads(lines[-1])["stats"]
