"""Capture files as a source: the same results every time, whatever the number of workers; the same counts as live."""

import json
import struct
import subprocess

import pytest

from conftest import ENGINE, ROOT, finish, ledger, needs_root, refused, sh

MIX = "tcp4=3,udp4=3,dns4=1,icmp4=1,tcp6=2,udp6=1,dns6=1,icmp6=1"
EVERYTHING = """
local protocols = engine.counter { name = "protocols", key = { "ip_version", "proto" } }
local talkers = engine.topk { name = "talkers", key = "src", k = 10 }
local syns = engine.record { name = "icmp", { "src", "ip" }, { "kind", "u8" }, { "at", "time" } }
function on_packet(p)
  protocols:add(p)
  talkers:add(p)
  if p.proto == 1 or p.proto == 58 then syns:emit(p.src, p.icmp_type, p.time) end
end
"""


@pytest.fixture(scope="module")
def capture_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("capture") / "mix.pcap"
    sh(ENGINE, "gen", "--write", path, "--mix", MIX, "--flows", 300, "--count", 30000, "--rate", 10000, "--size", "imix")
    return path


def run_file(path, *options, check=True, **kwargs):
    return subprocess.run([ENGINE, "--pcap", str(path), *map(str, options)], check=check, capture_output=True, text=True,
                          timeout=60, **kwargs)


def test_the_same_file_twice_gives_the_same_bytes(capture_file):
    assert run_file(capture_file, "--eval", EVERYTHING).stdout == run_file(capture_file, "--eval", EVERYTHING).stdout


def test_one_worker_and_four_give_the_same_bytes(capture_file):
    one = run_file(capture_file, "--eval", EVERYTHING, "--workers", 1).stdout
    four = run_file(capture_file, "--eval", EVERYTHING, "--workers", 4).stdout
    assert one == four
    lines = [json.loads(line) for line in one.splitlines()]
    assert sum(line["type"] == "icmp" for line in lines) > 1000
    assert sum(line["type"] == "protocols" for line in lines) >= 3


def test_more_results_than_any_queue_holds_are_neither_lost_nor_reordered(capture_file, tmp_path):
    chatty = """
      local r = engine.record { name = "r", { "src", "ip" }, { "n", "u32" }, { "s", "string" } }
      local s = ("x"):rep(200)
      function on_packet(p) for i = 1, 20 do r:emit(p.src, i, s) end end
    """
    one = run_file(capture_file, "--eval", chatty, "--workers", 1, "--summary", tmp_path / "ledger.json").stdout
    totals = ledger(tmp_path / "ledger.json")["totals"]
    assert totals["results"] == 600000 and totals["results_dropped"] == 0
    assert one.count("\n") == 600000
    assert one == run_file(capture_file, "--eval", chatty, "--workers", 4).stdout


def without_places(output):
    """The lines of plugins' results in their order, then the events without their time."""
    lines = [json.loads(line) for line in output.splitlines()]
    events = [{k: v for k, v in line.items() if k != "ts"} for line in lines if line["type"] == "event"]
    return [text for text, line in zip(output.splitlines(), lines) if line["type"] != "event"], events


def test_a_plugin_that_outgrows_its_memory_is_restarted_and_others_go_on(capture_file, tmp_path):
    hog = """
      local n, kept = 0, {}
      function on_packet(p)
        n = n + 1
        if n > 20000 then for i = 1, 4000 do kept[#kept + 1] = { i } end end
      end
    """
    counting = 'local c = engine.counter { name = "c", key = "proto" } function on_packet(p) c:add(p) end'
    done = run_file(capture_file, "--eval", hog, "--eval", counting, "--summary", tmp_path / "ledger.json")
    assert "out of service" in done.stderr
    run = ledger(tmp_path / "ledger.json")
    assert run["plugins"][0]["state"] == "running" and run["plugins"][0]["cutoffs"] == 1
    assert run["plugins"][0]["missed"] == 0, "on files the worker waits for the spare"
    assert run["plugins"][1]["state"] == "running" and run["plugins"][1]["missed"] == 0
    # At which packet the memory is full is no result: it also holds compiled code, and LuaJIT decides by chance and by
    # time what to compile. All else is the same in every run.
    again = run_file(capture_file, "--eval", hog, "--eval", counting)
    assert without_places(done.stdout) == without_places(again.stdout)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines if line["type"] == "event"] == ["plugin_cut_off", "plugin_restarted"]
    assert sum(entry["packets"] for line in lines if line["type"] == "c" for entry in line["entries"]) == 30000


def test_the_summary_is_the_same_too(capture_file):
    assert run_file(capture_file, "--workers", 1).stdout == run_file(capture_file, "--workers", 3).stdout


def test_the_ledger_of_a_file_is_closed(capture_file, tmp_path):
    run_file(capture_file, "--filter", "udp", "--summary", tmp_path / "ledger.json", "--workers", 2)
    totals = ledger(tmp_path / "ledger.json")["totals"]
    assert totals["xdp_seen"] == 30000
    assert totals["passed"] > 0 and totals["analysed"] > 0
    assert totals["passed"] + totals["analysed"] == 30000
    assert totals["unaccounted"] == 0


def test_stdin_is_a_file_too(capture_file):
    with open(capture_file, "rb") as stream:
        piped = run_file("-", "--eval", EVERYTHING, stdin=stream).stdout
    assert piped == run_file(capture_file, "--eval", EVERYTHING).stdout


def test_a_file_that_is_cut_off_is_processed_up_to_there(capture_file, tmp_path):
    whole = capture_file.read_bytes()
    (tmp_path / "cut.pcap").write_bytes(whole[: len(whole) // 2])
    done = run_file(tmp_path / "cut.pcap", check=False)
    assert done.returncode == 1
    assert sum(json.loads(line)["packets"] for line in done.stdout.splitlines()) > 10000
    assert "cut.pcap" in done.stderr


def test_a_plugins_filter_means_the_same_on_a_file_without_ethernet(capture_file, tmp_path):
    raw = tmp_path / "raw.pcap"
    write_raw_ip(capture_file, raw)
    counting = """
      filter = "udp port 53"
      local seen = engine.record { name = "seen", { "port", "u16" } }
      function on_packet(p) seen:emit(p.dst_port) end
    """
    assert run_file(raw, "--eval", counting).stdout.count("\n") == run_file(capture_file, "--eval",
                                                                            counting).stdout.count("\n") > 1000


def write_raw_ip(source, target):
    """The capture's packets without their Ethernet headers: link type 101."""
    data = source.read_bytes()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    out = [data[:20] + struct.pack(order + "I", 101)]
    at = 24
    while at < len(data):
        seconds, fraction, caplen, length = struct.unpack_from(order + "IIII", data, at)
        out.append(struct.pack(order + "IIII", seconds, fraction, caplen - 14, length - 14))
        out.append(data[at + 16 + 14:at + 16 + caplen])
        at += 16 + caplen
    target.write_bytes(b"".join(out))


def protocol_counts(lines):
    counts = {}
    for line in map(json.loads, lines):
        for entry in line["entries"] if line["type"] == "protocols" else []:
            key = (entry["ip_version"], entry["proto"])
            counts[key] = counts.get(key, 0) + entry["packets"]
    return counts


@needs_root()
def test_a_file_replayed_on_veth_gives_the_same_counts(lab, capture_file):
    net = lab()
    # Room for the whole file: a busy machine may leave the worker without a core for a while.
    live = net.capture("--queues", 1, "--frames", 32768, "--rx-ring", 32768, "--eval", EVERYTHING)
    sent = net.generate("--replay", capture_file, "--rate", 20000)
    assert refused(sent) == 0
    _, lines = finish(live)
    assert protocol_counts(lines) == protocol_counts(run_file(capture_file, "--eval", EVERYTHING).stdout.splitlines())


def test_counts_by_protocol_agree_with_tshark(capture_file):
    fields = sh("tshark", "-n", "-r", capture_file, "-T", "fields", "-e", "ip.version", "-e", "ip.proto", "-e",
                "ipv6.nxt", timeout=120).stdout
    counts = {}
    for line in fields.splitlines():
        version, proto, following = (line.split("\t") + ["", ""])[:3]
        key = (int(version.split(",")[0]) if version else 6, int((proto or following).split(",")[0]))
        counts[key] = counts.get(key, 0) + 1
    assert protocol_counts(run_file(capture_file, "--eval", EVERYTHING).stdout.splitlines()) == counts
