"""Each example over its capture: the results that are kept in golden/, byte for byte, by one worker and by four; and
the same counts by tshark, which reads the same file on its own."""

import json
import pathlib
import shutil
import subprocess
import sys
from collections import Counter

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.importorskip("scapy.all", reason="needs python3-scapy")
from captures import OF_EXAMPLE, make  # noqa: E402
from runs import EXAMPLES, GOLDEN, merged_over_workers, results, run  # noqa: E402

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.lua"))


@pytest.fixture(scope="session")
def capture(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("captures"), {}

    def of(example):
        name = OF_EXAMPLE[example]
        if name not in made:
            made[name] = make(name, folder)
        return made[name]
    return of


def test_every_example_has_a_capture():
    assert NAMES == sorted(OF_EXAMPLE) and len(NAMES) == 12


@pytest.mark.parametrize("name", NAMES)
def test_one_worker_gives_the_golden_results(name, capture):
    assert results(name, capture(name), 1) == (GOLDEN / f"{name}.jsonl").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_four_workers_give_the_same(name, capture):
    text = results(name, capture(name), 4)
    if name == "hello":
        assert merged_over_workers(text) == merged_over_workers((GOLDEN / "hello.jsonl").read_text())
    elif name == "syn_flood":  # each worker names the sources that it blocks
        one, four = ((GOLDEN / "syn_flood.jsonl").read_text().splitlines(), text.splitlines())
        merged, named = ([[line for line in lines if ("syn_flood_source" in line) == named] for lines in (one, four)]
                         for named in (False, True))
        assert merged[0] == merged[1] and len(named[1]) == 4
        assert {json.loads(line)["src"] for line in named[0]} == {json.loads(line)["src"] for line in named[1]}
    else:
        assert text == (GOLDEN / f"{name}.jsonl").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_a_screen_and_its_head_shows_a_line_that_it_gives(name, capture):
    text = (EXAMPLES / f"{name}.lua").read_text()
    assert text.count("\n") <= 60 and max(map(len, text.splitlines())) <= 120
    head = [line[2:].strip() for line in text.split("\n\n")[0].splitlines()]
    assert "?" in " ".join(head[:2]), "the question that it answers"
    first = next(i for i, line in enumerate(head) if line.startswith('{"ts"'))
    shown = "".join(head[first:(head + [""]).index("", first)]).removesuffix("(one line)").strip()
    begin = shown.split(",…")[0]
    assert begin in (GOLDEN / f"{name}.jsonl").read_text(), "a line of its real output"


@pytest.mark.parametrize("name", NAMES)
def test_check_has_nothing_against_it(name, capture):
    for over in ((), ("--pcap", capture(name))):
        done = run("check", EXAMPLES / f"{name}.lua", "--strict", "--json", *over, check=False)
        assert done.returncode == 0, done.stdout
        report = json.loads(done.stdout)
        assert [one for one in report["findings"] if one["severity"] != "advice"] == []
        # An attempt that LuaJIT makes later, and succeeds then, is a matter of chance.
        assert [one for one in report["cost"]["not_compiled"] if one["given_up"]] == []


# What tshark counts --------------------------------------------------------------------------------------------------

SYN = "tcp.flags.syn == 1 and tcp.flags.ack == 0"


def tshark(path, condition, *fields):
    """Rows of those packets that meet the condition, each packet for itself; times from 0."""
    options = ["ip.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE", "http.desegment_headers:FALSE",
               "tls.desegment_ssl_records:FALSE", "tcp.track_bytes_in_flight:FALSE"]
    command = ["tshark", "-n", "-r", path, "-Y", condition, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=f"]
    command += ["-d", "tcp.port==8443,tls"]
    for option in options:
        command += ["-o", option]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def golden(name):
    return [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines()]


def of_type(name, kind):
    return [line for line in golden(name) if line["type"] == kind]


def counts(name, kind, *keys, of="packets"):
    """Over all intervals; [{(key…): n}], and n is packets or what `of` says."""
    sums = Counter()
    for line in of_type(name, kind):
        for entry in line["entries"]:
            sums[tuple(entry[key] for key in keys)] += entry[of]
    return sums


def proto_of(row):
    four, six = row
    return int(four or six or 0)


@needs_tshark
def test_protocols_and_hello_count_as_tshark(capture):
    rows = tshark(capture("protocols"), "frame", "ip.proto", "ipv6.nxt", "frame.len")
    assert counts("protocols", "protocols", "proto") == Counter((proto_of(row[:2]),) for row in rows)
    bytes_of = Counter()
    for row in rows:
        bytes_of[(proto_of(row[:2]),)] += int(row[2])
    assert counts("protocols", "protocols", "proto", of="bytes") == bytes_of
    last = {int(proto): packets for proto, packets in golden("hello")[-1]["packets"].items()}
    assert last == Counter(proto_of(row[:2]) for row in rows)


@needs_tshark
def test_top_talkers_are_tsharks(capture):
    rows = tshark(capture("top_talkers"), "ip or ipv6", "frame.time_relative", "ip.src", "ipv6.src")
    for second, line in enumerate(golden("top_talkers")):
        there = Counter(row[1] or row[2] for row in rows if int(float(row[0])) == second)
        entries = {entry["src"]: entry["packets"] for entry in line["entries"]}
        assert len(entries) == 20
        assert sorted(entries.values(), reverse=True) == sorted(there.values(), reverse=True)[:20]
        assert entries == {source: there[source] for source in entries}


@needs_tshark
def test_new_hosts_are_those_that_tshark_sees_first(capture):
    rows = tshark(capture("new_hosts"), "(ip or ipv6) and not ip.src == 0.0.0.0", "frame.time_relative", "ip.src",
                  "ipv6.src")
    seen = set()
    for second, line in enumerate(golden("new_hosts")):
        there = {row[1] or row[2] for row in rows if int(float(row[0])) == second}
        assert {entry["src"] for entry in line["entries"]} == there - seen
        seen |= there
        assert (line["members"], line["new"]) == (len(seen), len(line["entries"]))
    assert len(seen) > 80


@needs_tshark
def test_dns_names_are_tsharks(capture):
    asked = tshark(capture("dns_names"), "dns.flags.response == 0", "dns.qry.name", "dns.qry.type")
    assert counts("dns_names", "dns_names", "key", of="count") == Counter((row[0].lower(),) for row in asked)
    types = {"1": "A", "28": "AAAA", "65": "HTTPS", "15": "MX"}
    assert counts("dns_names", "dns_types", "key", of="count") == Counter((types[row[1]],) for row in asked)
    failed = tshark(capture("dns_names"), "dns.flags.rcode > 0", "ip.dst", "ipv6.dst", "ip.src", "ipv6.src",
                    "dns.qry.name", "dns.flags.rcode")
    codes = {"2": "SERVFAIL", "3": "NXDOMAIN", "5": "REFUSED"}
    found = of_type("dns_names", "dns_failed")
    assert [(line["client"], line["server"], line["qname"], line["rcode"]) for line in found] == [
        (row[0] or row[1], row[2] or row[3], row[4].lower(), codes[row[5]]) for row in failed]
    assert len(failed) > 50


@needs_tshark
def test_tls_names_and_versions_are_tsharks(capture):
    fields = ("tls.handshake.extensions_server_name", "tls.handshake.extensions.supported_version",
              "tls.handshake.version")
    rows = tshark(capture("tls_sni"), "tls.handshake.type == 1", *fields)
    names = counts("tls_sni", "tls_sni", "key", of="count")
    assert names.pop(("(cut)",)) == 1  # tshark shows nothing of a hello that it has not whole
    assert names == Counter((row[0] or "(none)",) for row in rows)
    versions = {"0x0304": "TLS 1.3", "0x0303": "TLS 1.2", "0x0301": "TLS 1.0"}
    there = Counter((versions[row[1] or row[2]],) for row in rows)
    there[("TLS 1.0",)] += 1
    assert counts("tls_sni", "tls_versions", "key", of="count") == there
    old = tshark(capture("tls_sni"), "tls.handshake.type == 1 and tls.handshake.version == 0x0301", "ip.src", "ip.dst",
                 "ipv6.src", "ipv6.dst")
    found = [[line["client"], line["server"]] for line in of_type("tls_sni", "tls_old")]
    assert found == [[row[0] or row[2], row[1] or row[3]] for row in old] and len(old) == 3


@needs_tshark
def test_http_hosts_and_answers_are_tsharks(capture):
    asked = tshark(capture("http_hosts"), "http.request", "http.host")
    assert counts("http_hosts", "http_hosts", "key", of="count") == Counter((row[0] or "(none)",) for row in asked)
    answered = tshark(capture("http_hosts"), "http.response", "http.response.code", "ip.dst", "ipv6.dst")
    assert counts("http_hosts", "http_status", "key", of="count") == Counter((int(row[0]),) for row in answered)
    assert [(line["status"], line["client"]) for line in of_type("http_hosts", "http_failed")] == [
        (int(row[0]), row[1] or row[2]) for row in answered if int(row[0]) >= 500]


@needs_tshark
def test_icmp_is_tsharks(capture):
    rows = tshark(capture("icmp"), "icmp or icmpv6", "icmp.type", "icmp.code", "icmpv6.type", "icmpv6.code")
    there = Counter((6, int(row[2]), int(row[3] or 0)) if row[2] else (4, int(row[0]), int(row[1])) for row in rows)
    assert counts("icmp", "icmp", "ip_version", "icmp_type", "icmp_code") == there and len(there) == 9
    about = "(icmp.type == 3 or icmp.type == 11 or icmpv6.type < 128)"
    errors = tshark(capture("icmp"), about, "ip.src", "ipv6.src", "icmp.mtu", "icmpv6.mtu", "tcp.dstport",
                    "udp.dstport")
    assert [(line["reporter"], line.get("mtu", 0), line["dst_port"]) for line in of_type("icmp", "icmp_error")] == [
        (row[0] or row[1], int(row[2] or row[3] or 0), int(row[4] or row[5])) for row in errors]


@needs_tshark
def test_port_scan_finds_what_tshark_counts(capture):
    rows = tshark(capture("port_scan"), SYN, "frame.time_relative", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst",
                  "tcp.dstport")
    assert len(rows) > 700
    for line, until in zip(golden("port_scan"), (10, 20, 30)):
        pairs = {(row[1] or row[2], row[3] or row[4], row[5]) for row in rows if float(row[0]) < until}
        found = {entry["src"]: entry["rate"] for entry in line["entries"]}
        assert set(found) == {source for source, n in Counter(pair[0] for pair in pairs).items() if n >= 100}
        for source, rate in found.items():  # over the last 7/8 to 8/8 of 60 s
            n = Counter(pair[0] for pair in pairs)[source]
            assert n / 60 <= rate <= n / 52.5


@needs_tshark
def test_flows_are_tsharks_streams(capture):
    rows = tshark(capture("flows"), "tcp or udp", "tcp.stream", "udp.stream", "frame.len", "ip.proto", "ipv6.nxt")
    streams, sizes = Counter(), Counter()
    for row in rows:
        stream = (6, row[0]) if row[0] else (17, row[1])
        streams[stream] += 1
        sizes[stream] += int(row[2])
    lines = of_type("flows", "flows")
    assert Counter((line["proto"], *both(line, "packets"), *both(line, "bytes")) for line in lines) == Counter(
        (proto, streams[proto, stream], sizes[proto, stream]) for proto, stream in streams)
    named = tshark(capture("flows"), "tls.handshake.extensions_server_name or http.host",
                   "tls.handshake.extensions_server_name", "http.host")
    found = [line["user"]["name"] for line in lines if "user" in line]
    assert Counter(found) == Counter(row[0] or row[1] for row in named) and len(named) == 40


def both(line, what):
    return [line["forward"][what] + line["reverse"][what]]


@needs_tshark
def test_round_trips_and_retransmissions_are_tsharks(capture):
    # Of connections whose SYN was sent again there is none: which of the two was answered is not known.
    rows = tshark(capture("tcp_rtt"), "tcp.flags.syn == 1 and tcp.flags.ack == 1", "tcp.stream", "tcp.analysis.ack_rtt",
                  "ip.src", "ipv6.src")
    servers = sorted(float(row[1]) * 1000 for row in rows)
    first_acks = {}
    for stream, rtt in tshark(capture("tcp_rtt"), "tcp.analysis.initial_rtt", "tcp.stream", "tcp.analysis.initial_rtt"):
        first_acks.setdefault(stream, float(rtt) * 1000)
    both_ways = {row[0]: float(row[1]) * 1000 for row in rows}
    clients = sorted(first_acks[stream] - both_ways[stream] for stream in both_ways)
    for name, there in (("tcp_rtt_server_ms", servers), ("tcp_rtt_client_ms", clients)):
        lines = [line for line in of_type("tcp_rtt", name) if line["count"]]
        assert sum(line["count"] for line in lines) == len(there) == 60
        assert min(line["min"] for line in lines) == pytest.approx(there[0])
        assert max(line["max"] for line in lines) == pytest.approx(there[-1])
        assert sum(line["mean"] * line["count"] for line in lines) == pytest.approx(sum(there))
    slow = of_type("tcp_rtt", "tcp_slow")
    assert [line["rtt_ms"] for line in slow] == pytest.approx([rtt for rtt in first_acks.values() if rtt >= 500])
    again = tshark(capture("tcp_rtt"), "tcp.analysis.retransmission", "tcp.srcport", "ip.src", "ip.dst")
    by_server = Counter((row[1] if row[0] == "443" else row[2],) for row in again)
    assert counts("tcp_rtt", "tcp_retransmissions", "key", of="count") == by_server and len(again) == 12


@needs_tshark
def test_syn_flood_names_whom_tshark_counts(capture):
    rows = tshark(capture("syn_flood"), SYN, "frame.time_relative", "ip.src", "ip.dst", "tcp.dstport")
    lines = zip(of_type("syn_flood", "syn_flood"), of_type("syn_flood", "syn_flood_target"))
    for second, (sources, targets) in enumerate(lines):
        # The window: the last 7/8 s before the interval's end.
        there = [row for row in rows if second + 1.125 <= float(row[0]) < second + 2]
        by_source, by_target = Counter(row[1] for row in there), Counter((row[2], int(row[3])) for row in there)
        assert {entry["src"]: entry["rate"] for entry in sources["entries"]} == pytest.approx(
            {source: n / 0.875 for source, n in by_source.items() if n / 0.875 >= 1000})
        assert {(entry["dst"], entry["dst_port"]): entry["rate"] for entry in targets["entries"]} == pytest.approx(
            {target: n / 0.875 for target, n in by_target.items() if n / 0.875 >= 1500})
    assert second == 1 and len(rows) == 4000
    assert [line["src"] for line in of_type("syn_flood", "syn_flood_source")] == ["203.0.113.99"]
