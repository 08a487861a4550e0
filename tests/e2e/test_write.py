"""--write: the packets of a run as pcapng, judged by tshark and by a reader of blocks that knows nothing of the engine."""

import collections
import os
import signal
import struct
import subprocess

import pytest

from conftest import ENGINE, await_condition, finish, ledger, needs_root, sh
from test_files import run_file, write_raw_ip

MIX = "tcp4=3,udp4=3,dns4=1,icmp4=1,tcp6=2,udp6=1,dns6=1,icmp6=1"
MARK_ICMP = "function on_packet(p) if p.proto == 1 then assert(p:capture('icmp ' .. p.icmp_type)) end end"
MARK_LARGE = "function on_packet(p) if p.len > 1000 then p:capture('large') end end"
Packet = collections.namedtuple("Packet", "time_ns frame len options")


def whole_blocks(data):
    """(type, body) of each whole block, and how many bytes of another one follow."""
    at, found = 0, []
    while len(data) - at >= 12:
        kind, length = struct.unpack_from("<II", data, at)
        assert length >= 12 and length % 4 == 0, f"no block at {at} of {len(data)}"
        if at + length > len(data):
            break
        assert struct.unpack_from("<I", data, at + length - 4)[0] == length
        found.append((kind, data[at + 8:at + length - 4]))
        at += length
    return found, len(data) - at


def blocks(path):
    found, rest = whole_blocks(path.read_bytes())
    assert rest == 0, f"{rest} bytes of a block at the end"
    return found


def options(body, at):
    found = collections.defaultdict(list)
    while at + 4 <= len(body):
        code, length = struct.unpack_from("<HH", body, at)
        if code == 0:
            break
        found[code].append(body[at + 4:at + 4 + length])
        at += 4 + (length + 3) // 4 * 4
    return found


def packets(path):
    found = []
    for kind, body in blocks(path):
        if kind == 6:
            _, high, low, caplen, length = struct.unpack_from("<IIIII", body)
            found.append(Packet(high << 32 | low, body[20:20 + caplen], length,
                                options(body, 20 + (caplen + 3) // 4 * 4)))
    return found


def tshark(path, *fields, display_filter=None):
    chosen = ["-Y", display_filter] if display_filter else []
    words = [word for field in fields for word in ("-e", field)]
    return sh("tshark", "-n", "-r", path, *chosen, "-T", "fields", *words, timeout=120).stdout.splitlines()


SAME = ("frame.time_epoch", "frame.len", "frame.cap_len", "frame.md5_hash", "frame.encap_type")


@pytest.fixture(scope="module")
def capture_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("write") / "mix.pcap"
    sh(ENGINE, "gen", "--write", path, "--mix", MIX, "--flows", 300, "--count", 20000, "--rate", 10000, "--size", "imix")
    return path


def test_a_file_comes_out_as_it_went_in(capture_file, tmp_path):
    out = tmp_path / "out.pcapng"
    run_file(capture_file, "--write", out, "--output", "none", "--summary", tmp_path / "ledger.json")
    assert tshark(out, *SAME) == tshark(capture_file, *SAME)
    write = ledger(tmp_path / "ledger.json")["write"]
    assert write == {"path": str(out), "packets": 20000, "bytes": out.stat().st_size, "dropped": 0, "comments_cut": 0}
    assert [kind for kind, _ in blocks(out)][-1] == 5, "statistics end the file"


def test_one_worker_and_four_write_the_same_bytes(capture_file, tmp_path):
    for workers in (1, 4):
        run_file(capture_file, "--write", tmp_path / f"{workers}.pcapng", "--workers", workers, "--eval", MARK_ICMP,
                 "--eval", MARK_LARGE, "--output", "none")
    assert (tmp_path / "1.pcapng").read_bytes() == (tmp_path / "4.pcapng").read_bytes()


def test_time_stamps_that_go_back_and_snapped_frames_stay_as_they_are(tmp_path):
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcapng"
    frame = bytes(12) + b"\x08\x00" + bytes(46)
    records = [(1000, 5, 60, 1500), (999, 7, 20, 60), (1001, 999_999_999, 60, 60)]
    data = struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for seconds, nanoseconds, caplen, length in records:
        data += struct.pack("<IIII", seconds, nanoseconds, caplen, length) + frame[:caplen]
    source.write_bytes(data)
    run_file(source, "--write", out, "--output", "none")
    assert [(p.time_ns, len(p.frame), p.len) for p in packets(out)] == [
        (seconds * 10**9 + nanoseconds, caplen, length) for seconds, nanoseconds, caplen, length in records]


def test_the_link_type_is_the_inputs(capture_file, tmp_path):
    write_raw_ip(capture_file, tmp_path / "raw.pcap")
    run_file(tmp_path / "raw.pcap", "--write", tmp_path / "out.pcapng", "--output", "none")
    assert tshark(tmp_path / "out.pcapng", *SAME) == tshark(tmp_path / "raw.pcap", *SAME)


def test_only_what_plugins_chose_with_what_they_say(capture_file, tmp_path):
    out = tmp_path / "out.pcapng"
    run_file(capture_file, "--write", out, "--capture-only", "--eval", MARK_ICMP, "--eval", MARK_LARGE, "--workers", 3,
             "--output", "none")
    chosen = tshark(capture_file, "frame.md5_hash", display_filter="ip.proto == 1 or frame.len > 1000")
    assert tshark(out, "frame.md5_hash") == chosen and 100 < len(chosen) < 20000
    said = collections.Counter(tshark(out, "frame.comment"))
    icmp = len(tshark(capture_file, "frame.number", display_filter="ip.proto == 1"))
    both = len(tshark(capture_file, "frame.number", display_filter="ip.proto == 1 and frame.len > 1000"))
    assert both > 0 and sum(count for comment, count in said.items() if "icmp" in comment) == icmp
    assert sum(count for comment, count in said.items() if "icmp" in comment and "large" in comment) == both
    assert said["large"] == len(chosen) - icmp


def test_without_a_file_capture_says_so(capture_file, tmp_path):
    code = "function on_packet(p) if p:capture() ~= false then error('taken') end end"
    run_file(capture_file, "--eval", code, "--output", "none", "--summary", tmp_path / "ledger.json")
    run = ledger(tmp_path / "ledger.json")
    assert run["plugins"][0]["capture_refused"] == 20000 and run["plugins"][0]["errors"] == 0
    assert "write" not in run


def test_the_input_is_never_overwritten(capture_file, tmp_path):
    before = capture_file.read_bytes()
    os.symlink(capture_file, tmp_path / "other_name")
    for name in (capture_file, tmp_path / "other_name"):
        done = run_file(capture_file, "--write", name, check=False)
        assert done.returncode == 2 and "read from" in done.stderr
    with open(capture_file, "rb") as stream:
        assert run_file("-", "--write", capture_file, check=False, stdin=stream).returncode == 2
    assert capture_file.read_bytes() == before


def test_a_filter_stands_in_the_file(capture_file, tmp_path):
    run_file(capture_file, "--filter", "icmp", "--write", tmp_path / "out.pcapng", "--output", "none")
    kind, body = blocks(tmp_path / "out.pcapng")[1]
    assert kind == 1 and options(body, 8)[11] == [b"\0icmp"]
    kind, body = blocks(tmp_path / "out.pcapng")[-1]
    assert struct.unpack("<Q", options(body, 12)[4][0])[0] == 20000
    assert struct.unpack("<Q", options(body, 12)[6][0])[0] == len(packets(tmp_path / "out.pcapng"))


def test_packets_through_stdout_while_results_go_elsewhere(capture_file, tmp_path):
    writing = subprocess.Popen([ENGINE, "--pcap", capture_file, "--write", "-", "--output", tmp_path / "results"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    reading = sh("tshark", "-n", "-r", "-", "-T", "fields", "-e", "frame.md5_hash", stdin=writing.stdout, timeout=120)
    writing.communicate(timeout=30)
    assert writing.returncode == 0
    assert reading.stdout.splitlines() == tshark(capture_file, "frame.md5_hash")
    assert (tmp_path / "results").read_text().count("\n") > 0


def test_a_reader_that_leaves_ends_the_run(capture_file):
    writing = subprocess.Popen([ENGINE, "--pcap", capture_file, "--write", "-", "--output", "none"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.read(writing.stdout.fileno(), 100)
    writing.stdout.close()
    _, log = None, writing.stderr.read()
    assert writing.wait(timeout=30) == 0
    assert log.count("nobody reads it any more") == 1


def test_a_disk_that_is_full_from_the_beginning_is_an_error(capture_file):
    done = run_file(capture_file, "--write", "/dev/full", "--output", "none", check=False)
    assert done.returncode == 1 and "No space left on device" in done.stderr


@needs_root()
def test_every_packet_of_the_wire_is_in_the_file_with_its_queue(lab, tmp_path):
    net = lab(queues=4)
    out = tmp_path / "out.pcapng"
    capture = net.capture("--queues", 4, "--write", out, "--output", "none", "--summary", tmp_path / "ledger.json")
    net.generate("--queues", 4, "--count", 20000, "--flows", 500, "--rate", 10000)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["unaccounted"] == 0
    assert run["write"]["packets"] + run["write"]["dropped"] == run["totals"]["analysed"] > 15000
    written = packets(out)
    assert len(written) == run["write"]["packets"]
    by_queue = collections.Counter(map(int, tshark(out, "frame.interface_queue")))
    if run["write"]["dropped"] == 0:
        assert by_queue == {queue["queue"]: queue["analysed"] for queue in run["queues"]}
    assert set(tshark(out, "frame.interface_name", "frame.packet_flags_direction")) == {"cap0\t0x00000001"}
    assert sum(len(packet.frame) for packet in written) == run["totals"]["rx_bytes"] or run["write"]["dropped"] > 0


@needs_root()
def test_at_full_rate_what_is_not_in_the_file_is_counted_and_noted(lab, tmp_path):
    net = lab()
    out = tmp_path / "out.pcapng"
    capture = net.capture("--write", out, "--output", "none", "--summary", tmp_path / "ledger.json")
    net.generate("--method", "live", "--count", 500000)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["unaccounted"] == 0
    written = packets(out)
    assert len(written) == run["write"]["packets"] > 1000
    assert len(written) + run["write"]["dropped"] == run["totals"]["analysed"]
    noted = sum(struct.unpack("<Q", packet.options[4][0])[0] for packet in written if packet.options[4])
    assert noted <= run["write"]["dropped"], "those behind the last packet are noted nowhere"


@needs_root()
def test_a_killed_run_leaves_a_file_that_reads(lab, tmp_path):
    net = lab()
    out = tmp_path / "out.pcapng"
    capture = net.capture("--write", out, "--output", "none")
    sending = net.start(net.gen, ENGINE, "gen", "--iface", "gen0", "--duration", 20, "--rate", 20000, "--size", 300)
    await_condition(lambda: out.stat().st_size > 1_000_000, what="the first packets in the file")
    capture.send_signal(signal.SIGKILL)
    capture.wait(timeout=10)
    sending.kill()
    found, rest = whole_blocks(out.read_bytes())
    # The kernel ends a write that is under way only between two pages.
    assert rest == 0 or out.stat().st_size % 4096 == 0
    kept = sum(kind == 6 for kind, _ in found)
    done = sh("tshark", "-n", "-r", out, "-T", "fields", "-e", "frame.number", check=rest == 0, timeout=60)
    assert len(done.stdout.splitlines()) == kept > 1000


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path)
    yield path
    sh("umount", path)


@needs_root()
def test_a_disk_that_stays_full_ends_in_an_error_and_whole_blocks(capture_file, tmp_path, small_disk):
    out = small_disk / "out.pcapng"
    done = run_file(capture_file, "--write", out, "--summary", tmp_path / "ledger.json", "--workers", 2, check=False)
    assert done.returncode == 1 and "No space left on device" in done.stderr
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["analysed"] == 20000, "the plugins see every packet all the same"
    assert len(packets(out)) == run["write"]["packets"] > 1000
    assert run["write"]["packets"] + run["write"]["dropped"] == 20000


@needs_root()
def test_a_full_disk_costs_packets_until_there_is_room_again(lab, tmp_path, small_disk):
    net = lab()
    out = small_disk / "out.pcapng"
    (small_disk / "other").write_bytes(bytes(600_000))
    capture = net.capture("--write", out, "--output", "none", "--summary", tmp_path / "ledger.json")
    net.generate("--count", 2000, "--rate", 20000, "--size", 500)
    assert "No space left on device" in capture.stderr.readline()
    whole_when_full = len(packets(out))
    assert whole_when_full > 100
    net.generate("--count", 1000, "--rate", 20000, "--size", 500)
    (small_disk / "other").unlink()
    again = capture.stderr.readline()
    assert "works again" in again, again
    net.generate("--count", 100, "--rate", 20000, "--size", 500)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["unaccounted"] == 0
    written = packets(out)
    assert len(written) == run["write"]["packets"] > whole_when_full
    assert run["write"]["dropped"] >= 1000
    assert run["write"]["packets"] + run["write"]["dropped"] == run["totals"]["analysed"]
    gaps = [packet for packet in written if packet.options[1]]
    assert len(gaps) == 1 and b"are missing: No space left on device" in gaps[0].options[1][0]
    assert struct.unpack("<Q", gaps[0].options[4][0])[0] == run["write"]["dropped"]
    assert len(tshark(out, "frame.number")) == len(written)
