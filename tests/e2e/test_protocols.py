"""The standard library against two others: what scapy and OpenSSL make, and how tshark reads it, packet by packet."""

import collections
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess

import pytest

from conftest import ENGINE

scapy = pytest.importorskip("scapy.all", reason="needs python3-scapy")
from made_packets import dns_packets, header_packets, http_packets, tls_packets, write  # noqa: E402 (needs scapy)

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")

# Everything that is compared, one line per packet and protocol. One worker: n counts the file's packets.
PLUGIN = """
local n = 0
local function text(address) return address and tostring(address) or nil end
local function report(name, of)
  of.n = n
  engine.emit(name, of)
end
function on_packet(p)
  n = n + 1
  local q = dns.parse(p, true) or dns.parse(p)
  if q then
    local all = { a = {}, aaaa = {}, cname = {}, mx = {}, ttl = {} }
    for i = 1, q.answer_count do
      local a = q:answer(i)
      if not a then break end
      all.ttl[#all.ttl + 1] = a.ttl
      if a.type == 1 and a.address then all.a[#all.a + 1] = text(a.address) end
      if a.type == 28 and a.address then all.aaaa[#all.aaaa + 1] = text(a.address) end
      if a.type == 5 and a.target then all.cname[#all.cname + 1] = a.target end
      if a.type == 15 and a.target then all.mx[#all.mx + 1] = a.priority .. " " .. a.target end
    end
    report("dns", { id = q.id, response = q.is_response, opcode = q.opcode, rcode = q.rcode, aa = q.aa, tc = q.tc,
      rd = q.rd, ra = q.ra, ad = q.ad, cd = q.cd, questions = q.question_count, answers = q.answer_count,
      qname = q.qname, qtype = q.qtype, qclass = q.qclass, all = all, truncated = q.truncated })
  end
  local h = http.parse(p)
  if h then
    report("http", { method = h.method, target = h.target, status = h.status, reason = h.reason, host = h.host,
      agent = h.user_agent, kind = h.content_type, length = h.content_length, complete = h.head_complete })
  end
  local t = tls.parse(p)
  if t then
    report("tls", { sni = t.sni, alpns = t.alpns, versions = t.versions, version = t.version, legacy = t.legacy_version,
      ciphers = t.cipher_count, truncated = t.truncated })
  end
  local s = tcp.parse(p)
  if s then
    report("tcp", { seq = s.seq, ack = s.ack, flags = s.flags, window = s.window, header = s.header_len, mss = s.mss,
      scale = s.window_scale, sack = s.sack_permitted, tsval = s.ts_val, tsecr = s.ts_ecr, urgent = s.urgent })
  end
  local m = icmp.parse(p)
  if m then
    report("icmp", { version = m.version, kind = m.type, code = m.code, id = m.id, sequence = m.sequence, mtu = m.mtu,
      inner_src = text(m.inner_src), inner_dst = text(m.inner_dst), inner_proto = m.inner_proto,
      inner_src_port = m.inner_src_port, inner_dst_port = m.inner_dst_port, target = text(m.target) })
  end
  local i = ip.parse(p)
  if i then
    report("ip", { src = text(i.src), dst = text(i.dst), version = i.version, header = i.header_len,
      total = i.total_len, dscp = i.dscp, ecn = i.ecn, ttl = i.ttl, id = i.id, df = i.df, mf = i.mf,
      offset = i.fragment_off, label = i.flow_label })
  end
  local e = eth.parse(p)
  if e then report("eth", { src = e.src, dst = e.dst, kind = e.type }) end
  local a = arp.parse(p)
  if a then
    report("arp", { op = a.op, sender = text(a.sender), target = text(a.target), sender_mac = a.sender_mac_text,
      target_mac = a.target_mac_text })
  end
end
"""


def parsed(path):
    """{protocol: {packet number from 1: fields}} as the engine says."""
    done = subprocess.run([ENGINE, "--pcap", path, "--workers", "1", "--eval", PLUGIN],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "error" not in done.stderr, done.stderr
    found = collections.defaultdict(dict)
    for line in done.stdout.splitlines():
        fields = json.loads(line.replace(":{}", ":[]"))  # an empty table of Lua's is either
        found[fields["type"]][fields["n"]] = fields
    return found


FIELDS = """frame.protocols dns.id dns.flags.response dns.flags.opcode dns.flags.rcode dns.flags.authoritative
 dns.flags.truncated dns.flags.recdesired dns.flags.recavail dns.flags.authenticated dns.flags.checkdisable
 dns.count.queries dns.count.answers dns.qry.name dns.qry.type dns.qry.class dns.a dns.aaaa dns.cname dns.mx.preference
 dns.mx.mail_exchange
 dns.resp.ttl http.request.method http.request.uri http.response.code http.response.phrase http.host http.user_agent
 http.content_type http.content_length_header tls.handshake.type tls.handshake.extensions_server_name
 tls.handshake.extensions_alpn_str tls.handshake.extensions.supported_version tls.handshake.version
 tls.handshake.cipher_suites_length tcp.seq_raw tcp.ack_raw tcp.flags tcp.window_size_value tcp.hdr_len
 tcp.options.mss_val tcp.options.wscale.shift tcp.options.sack_perm tcp.options.timestamp.tsval
 tcp.options.timestamp.tsecr tcp.urgent_pointer icmp.type icmp.code icmp.ident icmp.seq icmp.mtu icmpv6.type icmpv6.code
 icmpv6.echo.identifier icmpv6.echo.sequence_number icmpv6.mtu icmpv6.nd.ns.target_address
 icmpv6.nd.na.target_address ip.src ip.dst ip.hdr_len ip.len ip.dsfield.dscp ip.dsfield.ecn ip.ttl ip.id ip.flags.df
 ip.flags.mf ip.frag_offset ip.proto ipv6.src ipv6.dst ipv6.plen ipv6.hlim ipv6.tclass.dscp ipv6.tclass.ecn ipv6.flow
 udp.srcport udp.dstport tcp.srcport tcp.dstport eth.src eth.dst arp.opcode arp.src.proto_ipv4 arp.dst.proto_ipv4
 arp.src.hw_mac arp.dst.hw_mac _ws.malformed""".split()


def tshark(path):
    """A list of rows: {field: list of its values in this packet}. Each packet for itself, nothing reassembled."""
    options = ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE",
               "tcp.analyze_sequence_numbers:FALSE", "http.desegment_headers:FALSE", "http.desegment_body:FALSE",
               "dns.desegment_dns_messages:FALSE",
               "tls.desegment_ssl_records:FALSE", "udp.check_checksum:FALSE", "ip.tso_support:TRUE"]
    command = ["tshark", "-n", "-r", path, "-T", "fields"]
    for setting in ("separator=/t", "occurrence=a", "aggregator=|"):
        command += ["-E", setting]
    for option in options:
        command += ["-o", option]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = []
    for line in done.stdout.split("\n")[:-1]:
        values = line.split("\t")
        rows.append({field: values[i].split("|") if values[i] else [] for i, field in enumerate(FIELDS)})
    return rows


def number(values, place=0):
    return int(values[place], 0) if len(values) > place else None


def first(values):
    return values[0] if values else None


def dns_as_tshark(row):
    name = first(row["dns.qry.name"])
    return {
        "id": number(row["dns.id"]), "response": number(row["dns.flags.response"]) == 1,
        "opcode": number(row["dns.flags.opcode"]), "rcode": number(row["dns.flags.rcode"]) or 0,
        "aa": number(row["dns.flags.authoritative"]) == 1, "tc": number(row["dns.flags.truncated"]) == 1,
        "rd": number(row["dns.flags.recdesired"]) == 1, "ra": number(row["dns.flags.recavail"]) == 1,
        "ad": number(row["dns.flags.authenticated"]) == 1, "cd": number(row["dns.flags.checkdisable"]) == 1,
        "questions": number(row["dns.count.queries"]), "answers": number(row["dns.count.answers"]),
        "qname": "." if name == "<Root>" else name and name.lower(), "qtype": number(row["dns.qry.type"]),
        "qclass": number(row["dns.qry.class"]),
    }


def answers_as_tshark(row):
    exchanges = zip(row["dns.mx.preference"], row["dns.mx.mail_exchange"])
    return {"a": row["dns.a"], "aaaa": row["dns.aaaa"], "cname": [name.lower() for name in row["dns.cname"]],
            "mx": [f"{preference} {name}".lower() for preference, name in exchanges],
            "ttl": [int(ttl) for ttl in row["dns.resp.ttl"]][:number(row["dns.count.answers"])]}


VERSIONS = {0x300: "SSL 3.0", 0x301: "TLS 1.0", 0x302: "TLS 1.1", 0x303: "TLS 1.2", 0x304: "TLS 1.3"}


def tls_as_tshark(row):
    offered = [int(value, 0) for value in row["tls.handshake.extensions.supported_version"]]
    offered = [value for value in offered if value & 0x0f0f != 0x0a0a]
    legacy = number(row["tls.handshake.version"])
    return {"sni": first(row["tls.handshake.extensions_server_name"]),
            "alpns": row["tls.handshake.extensions_alpn_str"],
            "versions": [VERSIONS.get(value, f"0x{value:04x}") for value in offered],
            "version": VERSIONS.get(max(offered or [legacy])),
            "legacy": VERSIONS.get(legacy), "ciphers": number(row["tls.handshake.cipher_suites_length"]) // 2}


def http_as_tshark(row):
    return {"method": first(row["http.request.method"]), "target": first(row["http.request.uri"]),
            "status": number(row["http.response.code"]), "reason": first(row["http.response.phrase"]),
            "host": first(row["http.host"]), "agent": first(row["http.user_agent"]),
            "kind": first(row["http.content_type"]),
            "length": int(row["http.content_length_header"][0]) if row["http.content_length_header"] else None}


def tcp_as_tshark(row):
    return {"seq": number(row["tcp.seq_raw"]), "ack": number(row["tcp.ack_raw"]),
            "flags": number(row["tcp.flags"]) & 0xff,
            "window": number(row["tcp.window_size_value"]), "header": number(row["tcp.hdr_len"]),
            "mss": number(row["tcp.options.mss_val"]), "scale": number(row["tcp.options.wscale.shift"]),
            "sack": bool(row["tcp.options.sack_perm"]), "tsval": number(row["tcp.options.timestamp.tsval"]),
            "tsecr": number(row["tcp.options.timestamp.tsecr"]), "urgent": number(row["tcp.urgent_pointer"])}


def icmp_as_tshark(row):
    six = bool(row["icmpv6.type"])
    outer = 0 if six else 1  # an IPv4 error has its own header's addresses first; and IPv6's come under another name
    source, target = row["ipv6.src" if six else "ip.src"], row["ipv6.dst" if six else "ip.dst"]
    ports = [row["udp.srcport"] or row["tcp.srcport"], row["udp.dstport"] or row["tcp.dstport"]]
    return {"version": 6 if six else 4, "kind": number(row["icmpv6.type" if six else "icmp.type"]),
            "code": number(row["icmpv6.code" if six else "icmp.code"]),
            "id": number(row["icmpv6.echo.identifier" if six else "icmp.ident"]),
            "sequence": number(row["icmpv6.echo.sequence_number" if six else "icmp.seq"]),
            "mtu": number(row["icmpv6.mtu" if six else "icmp.mtu"]),
            "inner_src": source[1] if len(source) > 1 else None, "inner_dst": target[1] if len(target) > 1 else None,
            "inner_proto": None if six else number(row["ip.proto"], outer),
            "inner_src_port": number(ports[0]), "inner_dst_port": number(ports[1]),
            "target": first(row["icmpv6.nd.ns.target_address"] + row["icmpv6.nd.na.target_address"])}


def ip_as_tshark(row):
    if row["ip.src"] and not (row["ipv6.src"] and "ipv6" in row["frame.protocols"][0].split(":")[2:3]):
        return {"version": 4, "src": row["ip.src"][0], "dst": row["ip.dst"][0],
                "header": number(row["ip.hdr_len"]), "total": number(row["ip.len"]),
                "dscp": number(row["ip.dsfield.dscp"]), "ecn": number(row["ip.dsfield.ecn"]),
                "ttl": number(row["ip.ttl"]), "id": number(row["ip.id"]), "df": number(row["ip.flags.df"]) == 1,
                "mf": number(row["ip.flags.mf"]) == 1, "offset": number(row["ip.frag_offset"]) * 8}
    return {"version": 6, "src": row["ipv6.src"][0], "dst": row["ipv6.dst"][0], "total": number(row["ipv6.plen"]) + 40,
            "dscp": number(row["ipv6.tclass.dscp"]), "ecn": number(row["ipv6.tclass.ecn"]),
            "ttl": number(row["ipv6.hlim"]),
            "label": number(row["ipv6.flow"])}


def assert_same(ours, theirs, where):
    """Field by field; what one of the two does not have is None."""
    mine = {name: ours.get(name) for name in theirs}
    assert mine == theirs, where


@needs_tshark
@pytest.mark.parametrize("name, packets, as_tshark", [
    ("dns", dns_packets, dns_as_tshark), ("http", http_packets, http_as_tshark), ("tls", tls_packets, tls_as_tshark)])
def test_messages_are_read_as_tshark_reads_them(tmp_path, name, packets, as_tshark):
    path = write(tmp_path / "made.pcap", packets())
    ours, rows = parsed(path), tshark(path)
    assert len(rows) >= 8 and list(ours[name]) == list(range(1, len(rows) + 1)), "each packet is one"
    for n, row in enumerate(rows, 1):
        assert_same(ours[name][n], as_tshark(row), n)
        if name == "dns":
            assert ours[name][n]["all"] == answers_as_tshark(row), n
        for other in {"dns", "http", "tls"} - {name}:
            assert n not in ours[other]


@needs_tshark
def test_headers_are_read_as_tshark_reads_them(tmp_path):
    path = write(tmp_path / "made.pcap", header_packets())
    ours, rows = parsed(path), tshark(path)
    counts = collections.Counter()
    for n, row in enumerate(rows, 1):
        protocols = row["frame.protocols"][0].split(":")
        expected = {"eth": {"src": row["eth.src"][0], "dst": row["eth.dst"][0]}}
        if "arp" in protocols:
            expected["arp"] = {"op": number(row["arp.opcode"]), "sender": first(row["arp.src.proto_ipv4"]),
                               "target": first(row["arp.dst.proto_ipv4"]), "sender_mac": first(row["arp.src.hw_mac"]),
                               "target_mac": first(row["arp.dst.hw_mac"])}
        else:
            expected["ip"] = ip_as_tshark(row)
        if row["icmp.type"] or row["icmpv6.type"]:
            expected["icmp"] = icmp_as_tshark(row)
            if expected["icmp"]["version"] == 6:
                del expected["icmp"]["inner_proto"]  # tshark has no field of that name
        elif "tcp" in protocols:
            expected["tcp"] = tcp_as_tshark(row)
        for name in ("eth", "arp", "ip", "icmp", "tcp"):
            assert (n in ours[name]) == (name in expected), (n, name, protocols)
            if name in expected:
                counts[name] += 1
                assert_same(ours[name][n], expected[name], (n, name))
    assert all(counts[name] >= 2 for name in ("eth", "arp", "ip", "icmp", "tcp")), counts


def test_damaged_packets_give_no_error_and_nothing_from_behind_their_end(tmp_path):
    """Cut, flipped and shortened messages: whatever is read is made of the packet's own bytes, and no plugin fails."""
    chance = random.Random(4)
    ether = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    whole = [bytes(ether / p) for p in [*dns_packets(), *http_packets(), *tls_packets(), *header_packets()]]
    damaged = []
    for _ in range(20000):
        frame = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(4)):
            frame[chance.randrange(14, len(frame))] = chance.randrange(256)
        damaged.append(bytes(frame[:chance.randrange(14, len(frame) + 1)]))
    path = tmp_path / "damaged.pcap"
    scapy.wrpcap(str(path), [scapy.Raw(frame) for frame in damaged], linktype=1)
    found = parsed(path)
    for name in ("dns", "http", "tls", "tcp", "icmp", "ip", "eth"):
        assert len(found[name]) > 100, name
    for n, hello in found["tls"].items():
        assert (hello.get("sni") or "").encode() in damaged[n - 1]
    for n, head in found["http"].items():
        for text in (head.get("method"), head.get("target"), head.get("host")):
            assert not text or text.isascii() is False or text.encode() in damaged[n - 1]


def corpus_frames():
    for path in sorted(pathlib.Path(os.environ["ENGINE_CORPUS"]).rglob("*.pcap*")):
        try:
            reader = scapy.RawPcapReader(str(path))
            for data, meta in reader:
                link = meta.linktype if hasattr(meta, "linktype") else reader.linktype
                if link == 1 and 14 <= len(data) <= 65535:
                    yield path.name, data
        except (scapy.Scapy_Exception, OSError, struct.error, EOFError):
            continue


@needs_tshark
@pytest.mark.skipif("ENGINE_CORPUS" not in os.environ, reason="needs captures: set ENGINE_CORPUS to a folder of them")
def test_captures_of_others_are_read_as_tshark_reads_them(tmp_path):
    frames = list(corpus_frames())
    path = tmp_path / "corpus.pcap"
    scapy.wrpcap(str(path), [scapy.Raw(data) for _, data in frames], linktype=1)
    ours, rows = parsed(path), tshark(path)
    assert len(rows) == len(frames) > 1000
    counts, different = collections.Counter(), []
    # NetBIOS names have DNS's format (RFC 1002, 4.2.1); tshark looks for DNS on its ports alone.
    same_format = ("nbns", "data")
    as_tshark = {"dns": dns_as_tshark, "http": http_as_tshark, "tls": tls_as_tshark}
    for n, row in enumerate(rows, 1):
        protocols = row["frame.protocols"][0].split(":") if row["frame.protocols"] else []
        plain = len(protocols) > 4 and protocols[:2] == ["eth", "ethertype"] and protocols[2] in ("ip", "ipv6") and \
            protocols[3] in ("udp", "tcp") and not row["_ws.malformed"]
        theirs = protocols[4] if plain else None
        if theirs in ("mdns", "llmnr"):
            theirs = "dns"
        if theirs == "http" and not (row["http.request.method"] or row["http.response.code"]):
            theirs = None  # what follows a head
        if theirs == "tls" and first(row["tls.handshake.type"]) != "1":
            theirs = None  # no ClientHello
        for name, convert in as_tshark.items():
            if theirs == name and n in ours[name]:
                mine, other = ours[name][n], convert(row)
                counts[name] += 1
                if any(mine.get(field) != other[field] for field in other):
                    fields = {f: (mine.get(f), other[f]) for f in other if mine.get(f) != other[f]}
                    different.append((frames[n - 1][0], n, name, fields))
            elif theirs == name:
                counts[name + " missed"] += 1
                different.append((frames[n - 1][0], n, name, "tshark alone"))
            elif n in ours[name] and plain and not (name == "dns" and theirs in same_format):
                counts[name + " alone"] += 1
                different.append((frames[n - 1][0], n, name, "ours alone, tshark: " + row["frame.protocols"][0]))
    assert not different, "\n".join(map(str, [counts, *different]))
    assert counts["dns"] > 50, counts
