"""Packets that take several frames (an MTU of 9,000), in the modes that there are on veth, and packet memory."""

import json
import pathlib
import struct

import pytest

from conftest import ENGINE, finish, ledger, needs_root, sh
from test_write import packets

pytestmark = needs_root()

# What a plugin sees of a packet: its lengths, a word in the third frame, the last byte, nothing behind it.
LOOK = """
function on_packet(p)
  engine.emit("seen", { len = p.len, caplen = p.caplen, port = p.src_port, payload = p.payload_len,
                        word = p:u32(p.len - 8), last = p:u8(p.len - 1), behind = p:u8(p.len) or -1 })
end
"""

SEND = """
import socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
raw.bind(("gen0", 0))
for line in sys.stdin:
    raw.send(bytes.fromhex(line))
"""


def udp_frame(number, size):
    """A UDP packet over IPv4 in which every byte of the payload tells its number and place."""
    payload = bytes((number * 31 + at * 7 + (at >> 8)) & 0xff for at in range(size - 42))
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size - 14, number, 0x4000, 64, 17, 0, bytes([10, 0, 0, 1]),
                     bytes([10, 0, 0, 2]))
    total = sum(struct.unpack(">10H", ip))
    total = (total & 0xffff) + (total >> 16)
    ip = ip[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xffff) + ip[12:]
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0" + ip + struct.pack(">HHHH", 1000 + number, 9, size - 34, 0) + payload


SIZES = [60, 9014, 1514, 3840, 3841, 7680, 7681, 8999, 9014, 64]


def send(lab, frames):
    sh(*lab.inside(lab.gen, "/usr/bin/python3", "-c", SEND), input="".join(f.hex() + "\n" for f in frames))


def closed(path, sent):
    """The ledger of a run in which everything that was sent was analysed."""
    result = ledger(path)
    assert result["totals"]["unaccounted"] == 0
    assert result["totals"]["xdp_seen"] == result["totals"]["analysed"] == sent
    return result


@pytest.mark.parametrize("mode", ["copy", "skb"])
def test_a_packet_of_nine_thousand_bytes_is_one_packet(lab, tmp_path, mode):
    pair = lab(mtu=9000)
    frames = [udp_frame(number, size) for number, size in enumerate(SIZES)]
    run = pair.capture("--mode", mode, "--eval", LOOK, "--write", tmp_path / "all.pcapng",
                       "--summary", tmp_path / "ledger.json")
    assert "up to 3 frames a packet for MTU 9000" in "".join(run.log)
    for _ in range(20):
        send(pair, frames)
    status, out = finish(run)
    assert status == 0, run.log
    assert closed(tmp_path / "ledger.json", 20 * len(frames))["queues"][0]["mode"] == mode
    seen = [line for line in map(json.loads, out) if line["type"] == "seen"]
    assert len(seen) == 20 * len(frames)
    for line, frame in zip(seen, 20 * frames):
        assert (line["len"], line["caplen"]) == (len(frame), len(frame))
        assert (line["port"], line["payload"]) == (struct.unpack_from(">H", frame, 34)[0], len(frame) - 42)
        assert line["word"] == struct.unpack_from(">I", frame, len(frame) - 8)[0]
        assert (line["last"], line["behind"]) == (frame[-1], -1)
    written = packets(tmp_path / "all.pcapng")
    assert [packet.frame for packet in written] == 20 * frames
    assert all(packet.len == len(packet.frame) for packet in written)


def test_a_filter_reads_beyond_the_first_frame(lab, tmp_path):
    pair = lab(mtu=9000)
    frames = [udp_frame(number, 9014) for number in range(16)]
    wanted = frames[5]
    run = pair.capture("--filter", f"ether[8000] = {wanted[8000]} and greater 9014", "--eval", LOOK,
                       "--summary", tmp_path / "ledger.json")
    send(pair, frames + [udp_frame(5, 8500)])
    status, out = finish(run)
    assert status == 0, run.log
    result = ledger(tmp_path / "ledger.json")["totals"]
    matching = [frame for frame in frames if frame[8000] == wanted[8000]]
    assert result["analysed"] == len(matching) == len([line for line in out if '"seen"' in line])
    assert (result["xdp_seen"], result["passed"], result["unaccounted"]) == (17, 17 - len(matching), 0)


def test_on_several_queues_of_one_worker_they_are_told_apart(lab, tmp_path):
    pair = lab(queues=4, mtu=9000)
    run = pair.capture("--workers", 1, "--eval", LOOK, "--summary", tmp_path / "ledger.json")
    frames = [udp_frame(number, 9014 - number) for number in range(200)]
    send(pair, frames)
    status, out = finish(run)
    assert status == 0, run.log
    result = closed(tmp_path / "ledger.json", len(frames))
    assert sum(queue["analysed"] > 0 for queue in result["queues"]) > 1, "flows went to one queue only"
    seen = [line for line in map(json.loads, out) if line["type"] == "seen"]
    expected = {len(frame): struct.unpack_from(">I", frame, len(frame) - 8)[0] for frame in frames}
    assert {line["len"]: line["word"] for line in seen} == expected


def test_forced_zero_copy_is_refused_before_the_start(lab):
    pair = lab(mtu=9000)
    done = sh(*pair.inside(pair.cap, ENGINE, "--iface", "cap0", "--mode", "zerocopy", "--take-all"), check=False)
    assert done.returncode == 4
    for word in ("zero-copy was refused", "up to MTU 3818", "ip link set cap0 mtu 3818"):
        assert word in done.stderr


HUGE = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


@pytest.fixture
def huge_pages():
    """Reserves pages of 2 MiB for a test and gives them back."""
    if not HUGE.exists():
        pytest.skip("this kernel has no pages of 2 MiB")
    before = int((HUGE / "nr_hugepages").read_text())
    (HUGE / "nr_hugepages").write_text(str(before + 16))
    if int((HUGE / "free_hugepages").read_text()) < 16:
        (HUGE / "nr_hugepages").write_text(str(before))
        pytest.skip("no memory in pieces of 2 MiB is left")
    yield
    (HUGE / "nr_hugepages").write_text(str(before))


def test_packet_memory_is_in_huge_pages_where_there_are_some(lab, tmp_path, huge_pages):
    pair = lab(queues=2)
    run = pair.capture("--workers", 1, "--hugepages", "on", "--eval", LOOK, "--summary", tmp_path / "ledger.json")
    assert "16.0 MiB in pages of 2 MiB" in "".join(run.log)
    frames = [udp_frame(number, 1000) for number in range(100)]
    send(pair, frames)
    status, out = finish(run)
    assert status == 0, run.log
    closed(tmp_path / "ledger.json", len(frames))
    assert sum('"seen"' in line for line in out) == len(frames)


def test_where_there_are_none_the_command_that_reserves_them_is_said(lab):
    if not HUGE.exists() or int((HUGE / "free_hugepages").read_text()) != 0:
        pytest.skip("this machine has pages of 2 MiB")
    pair = lab()
    run = pair.capture()
    log = "".join(run.log)
    assert "packet memory is in normal pages" in log and "nr_hugepages" in log
    finish(run)
    forced = sh(*pair.inside(pair.cap, ENGINE, "--iface", "cap0", "--hugepages", "on"), check=False)
    assert forced.returncode == 4
    assert "nr_hugepages" in forced.stderr and "--hugepages auto" in forced.stderr
    quiet = pair.capture("--hugepages", "off")
    assert "nr_hugepages" not in "".join(quiet.log)
    finish(quiet)
