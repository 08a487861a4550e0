"""`engine bench` on veth: the counts agree with the other side's, the results are the common format, and bad input is
refused in one line. No rate is asserted."""

import json
import math
import os
import signal

import pytest

from conftest import ENGINE, ROOT, await_condition, needs_root, refused, sh

LAST = os.cpu_count() - 1
TWO = f"0,{LAST}" if LAST > 0 else "0"  # cores for two threads


def run(lab, namespace, *options, status=0, **kwargs):
    """Runs `engine bench ...` to its end; returns its results."""
    kind, *rest = options
    done = sh(*lab.inside(namespace, ENGINE, "bench", kind, "--json", "-", *rest), check=False, timeout=300, **kwargs)
    assert done.returncode == status, done.stderr
    report = json.loads(done.stdout)
    check_format(report, kind)
    return report


def check_format(report, kind):
    assert report["schema"] == "engine-bench/1" and report["kind"] == kind
    assert report["command"].startswith(f"engine bench {kind} ") and report["time"].endswith("Z")
    machine = report["machine"]
    assert machine["cores"] >= 1 and machine["memory_bytes"] > 0 and machine["kernel"] == os.uname().release
    assert isinstance(machine["mitigations"], dict) and isinstance(machine["counters"], bool)
    assert report["results"]
    for result in report["results"]:
        for name, value in result["values"].items():
            if value is None:
                assert any(note.startswith(name + ": ") for note in result["notes"]), f"no reason why there is no {name}"
                continue
            assert value["min"] <= value["median"] <= value["max"] and value["rounds"]
            assert all(math.isfinite(one) and one >= 0 for one in value["rounds"]), (name, value)
        if not machine["counters"]:
            assert result["values"].get("cycles_per_packet") is None


def values(report, index=0):
    return {name: value and value["rounds"] for name, value in report["results"][index]["values"].items()}


def counter(lab, namespace, device, name):
    link = json.loads(sh("ip", "-n", namespace, "-s", "-j", "link", "show", device).stdout)[0]
    return link["stats64"]["rx"][name]


@needs_root()
@pytest.mark.parametrize("cpus", ["0", TWO])
def test_tx_counts_what_the_kernel_took(lab, cpus):
    pair = lab(queues=2)
    before = counter(pair, pair.cap, "cap0", "packets")
    report = run(pair, pair.gen, "tx", "--iface", "gen0", "--queues", 2, "--size", 128, "--flows", 64, "--rate", 20000,
                 "--duration", 0.2, "--rounds", 2, "--cpus", cpus)
    got = values(report)
    # A sender that is late at the end sends no more.
    assert len(got["sent"]) == 2 and all(0 < sent <= 4000 for sent in got["sent"]) and got["unfinished"] == [0, 0]
    assert report["results"][0]["params"]["threads"] == len(cpus.split(","))
    assert counter(pair, pair.cap, "cap0", "packets") - before == sum(got["sent"]) - sum(got["refused"])
    for i in range(2):
        assert got["rate_pps"][i] == pytest.approx(got["rate_pps_queue_0"][i] + got["rate_pps_queue_1"][i])
        assert got["rate_bytes_per_s"][i] == pytest.approx(128 * got["rate_pps"][i])
        assert got["cpu_ns_per_packet"][i] > 0
    assert report["traffic"] == {"frame_bytes": 128, "flows": 64}
    assert report["interface"]["driver"] == "veth" and report["interface"]["mode"] == "copy"


@needs_root()
def test_tx_that_is_interrupted_ends_all_its_senders(lab):
    pair = lab(queues=2)
    child = pair.start(pair.gen, ENGINE, "bench", "tx", "--iface", "gen0", "--queues", 2, "--flows", 8, "--rate", 10000,
                       "--cpus", TWO, "--duration", 600, "--json", "-")
    await_condition(lambda: counter(pair, pair.cap, "cap0", "packets") > 100, what="traffic")
    child.send_signal(signal.SIGINT)
    report = finish(child, "tx")
    assert len(values(report)["sent"]) == 1 and values(report)["sent"][0] > 100


def start(lab, kind, *options):
    """Starts `engine bench ...` beside a generator, and returns once it is ready for packets."""
    child = lab.start(lab.cap, ENGINE, "bench", kind, "--json", "-", *options)
    # Byte by byte: what a buffered reader has taken beyond the line would be lost to communicate().
    line = b""
    while not line.endswith(b"ready\n"):
        byte = os.read(child.stderr.fileno(), 1)
        assert byte, line.decode()
        line += byte
    return child


def finish(child, kind, status=0, timeout=120):
    out, err = child.communicate(timeout=timeout)
    assert child.returncode == status, err
    report = json.loads(out)
    check_format(report, kind)
    return report


@needs_root()
def test_rx_counts_what_was_sent(lab):
    pair = lab()  # fewer packets than the rings hold (veth's has 256): none is lost however busy the machine is
    child = start(pair, "rx", "--iface", "cap0", "--count", 200, "--duration", 60, "--cpus", LAST, "--batch", 32)
    sent = pair.generate("--count", 200, "--rate", 50000, "--method", "tx", "--flows", 16)
    assert refused(sent) == 0
    report = finish(child, "rx")
    got = values(report)
    assert got["received"] == got["xdp_seen"] == [sent["sent"]] == [200]
    assert got["lost"] == got["unaccounted"] == got["rx_ring_full"] == [0]
    assert got["rate_pps"][0] > 0 and got["cpu_ns_per_packet"][0] > 0 and 0 < got["packets_per_batch"][0] <= 32
    assert report["interface"]["mode"] == "copy" and report["results"][0]["params"]["batch"] == 32


@needs_root()
@pytest.mark.parametrize("wait", ["spin", "poll"])
def test_rx_tells_each_queue_apart(lab, wait):
    pair = lab(queues=2)
    child = start(pair, "rx", "--iface", "cap0", "--rounds", 2, "--duration", 0.3, "--cpus", LAST, "--wait", wait)
    generator = pair.start(pair.gen, ENGINE, "gen", "--iface", "gen0", "--queues", 2, "--method", "tx", "--flows", 16,
                           "--rate", 20000)
    report = finish(child, "rx")
    generator.terminate()
    whole, *queues = report["results"]
    assert [queue["params"]["queue"] for queue in queues] == [0, 1] and whole["params"]["wait"] == wait
    for index in range(3):
        got = values(report, index)
        assert len(got["rate_pps"]) == 2 and min(got["rate_pps"]) > 0
        assert got["xdp_seen"][0] == got["received"][0] + got["lost"][0] and got["unaccounted"] == [0]
    assert values(report)["received"][0] == sum(values(report, i)["received"][0] for i in (1, 2))
    assert values(report, 1)["cpu_ns_per_packet"] is None  # one core serves both


@needs_root()
@pytest.mark.skipif(LAST == 0, reason="needs two cores")
def test_rx_tells_the_cost_of_each_queue_that_has_a_core_of_its_own(lab):
    pair = lab(queues=2)
    child = start(pair, "rx", "--iface", "cap0", "--rounds", 2, "--duration", 0.3, "--cpus", TWO, "--wait", "poll")
    generator = pair.start(pair.gen, ENGINE, "gen", "--iface", "gen0", "--queues", 2, "--method", "tx", "--flows", 16,
                           "--rate", 20000)
    report = finish(child, "rx")
    generator.terminate()
    assert report["results"][0]["params"]["workers"] == 2
    for index in (1, 2):
        got = values(report, index)
        assert len(got["cpu_ns_per_packet"]) == 2 and min(got["cpu_ns_per_packet"]) > 0 and got["unaccounted"] == [0]


@needs_root()
def test_rx_says_that_nothing_came(lab):
    pair = lab()
    done = sh(*pair.inside(pair.cap, ENGINE, "bench", "rx", "--iface", "cap0", "--patience", 0.05), check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[0].endswith("ready") and "no packet came" in done.stderr


@needs_root()
def test_rx_of_a_mode_that_is_not_to_be_had_is_refused(lab):
    pair = lab()
    done = sh(*pair.inside(pair.cap, ENGINE, "bench", "rx", "--iface", "cap0", "--mode", "zerocopy"), check=False)
    assert done.returncode == 4 and len(done.stderr.splitlines()) == 1 and "zero-copy" in done.stderr


def across(pair):
    """Options that send on the pair's other end."""
    return ("--iface", "cap0", "--gen-iface", "gen0", "--gen-netns", pair.gen, "--cpus", LAST, "--gen-cpu", 0)


@needs_root()
def test_search_finds_a_rate_at_which_all_trials_were_without_loss(lab):
    pair = lab()
    # So few packets a trial that the rings hold them (veth's has 256), however busy the machine.
    report = run(pair, pair.cap, "search", *across(pair), "--method", "tx", "--max-rate", 20000, "--trial", 0.01,
                 "--sizes", "64,1518", "--flows", 4)
    assert [result["params"] for result in report["results"]] == [
        {"frame_bytes": 60, "wire_bytes": 64}, {"frame_bytes": 1514, "wire_bytes": 1518}]
    for result in report["results"]:
        rate = result["values"]["rate_pps"]["median"]
        assert 0 < rate <= 20000
        assert any("the sender goes no faster" in note for note in result["notes"])
        assert len(result["trials"]) == 2  # the one at the limit, and its confirmation
        for trial in result["trials"]:
            assert trial["sent"] == trial["received"] == 200 and trial["lost"] == 0 and trial["asked_pps"] == 20000
            assert trial["method"] == "tx" and trial["refused"] == 0


@needs_root()
def test_search_gives_no_rate_where_packets_are_lost_at_every_one(lab):
    pair = lab(queues=2)
    # The generator's second queue is nobody's: half of the packets go to the stack.
    report = run(pair, pair.cap, "search", *across(pair), "--queues", 1, "--gen-queues", 2, "--method", "tx", "--flows",
                 8, "--max-rate", 20000, "--min-rate", 15000, "--trial", 0.05, "--sizes", 128)
    (result,) = report["results"]
    assert result["values"]["rate_pps"]["rounds"] == [0]
    assert any("at every rate" in note for note in result["notes"])
    assert all(trial["lost"] > 0 and trial["sent"] == trial["received"] + trial["lost"] for trial in result["trials"])
    assert [trial["asked_pps"] for trial in result["trials"]] == [20000, 15000]


@needs_root()
def test_search_that_is_interrupted_tells_what_it_found(lab):
    pair = lab()
    child = pair.start(pair.cap, ENGINE, "bench", "search", *across(pair), "--method", "tx", "--max-rate", 10000,
                       "--trial", 0.05, "--sizes", "64,128", "--confirm", 1000, "--json", "-")
    assert "64 bytes" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    report = json.loads(out)
    assert report["results"] == [] and report["missing"][0]["reason"] == "the search was interrupted"


@needs_root()
def test_search_in_a_namespace_that_is_not_there_is_refused(lab):
    pair = lab()
    done = sh(*pair.inside(pair.cap, ENGINE, "bench", "search", "--iface", "cap0", "--gen-iface", "gen0", "--gen-netns",
                           "nosuch"), check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "--gen-netns nosuch" in done.stderr


READER = """
import json, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((sys.argv[1], 0))
s.settimeout(60)
print("ready", flush=True)
got = []
while len(got) < int(sys.argv[2]):
    frame, address = s.recvfrom(2048)
    if address[2] != socket.PACKET_OUTGOING:
        got.append([frame[:6].hex(), frame[6:12].hex(), int.from_bytes(frame[42:50], "big")])
print(json.dumps(got))
"""


def start_reader(pair, device, count):
    """What arrives on an interface of the generator's namespace: destination, source, sequence number."""
    reader = pair.start(pair.gen, "/usr/bin/python3", "-c", READER, device, count)
    assert reader.stdout.readline() == "ready\n"
    return reader


def directions(report):
    return {(r["params"]["from"], r["params"]["to"]): {k: v["rounds"][0] for k, v in r["values"].items()}
            for r in report["results"][1:]}


def check_direction(got):
    """The ledger closes."""
    assert got["unaccounted"] == got["unfinished"] == got["bad"] == 0
    assert got["xdp_seen"] == got["no_socket"] + got["rx_dropped"] + got["rx_ring_full"] + got["received"]
    assert got["received"] == got["forwarded"] + got["tx_ring_full"] and got["forwarded"] == got["completed"]


def second_pair(pair):
    """out0 beside cap0, its other end sink0 in the generator's namespace."""
    sh("ip", "-n", pair.cap, "link", "add", "out0", "type", "veth", "peer", "name", "sink0", "netns", pair.gen)
    for namespace, device in ((pair.cap, "out0"), (pair.gen, "sink0")):
        sh("ip", "-n", namespace, "link", "set", device, "up")
        sh(*pair.inside(namespace, "ethtool", "-K", device, "gro", "on"))


@needs_root()
@pytest.mark.parametrize("mode", ["copy", "skb"])
def test_fwd_between_two_interfaces_in_both_directions(lab, mode):
    pair = lab()
    second_pair(pair)
    # Fewer packets than any ring on the way holds (veth's: 256), so that none is lost however busy the machine is.
    child = start(pair, "fwd", "--iface", "cap0", "--iface", "out0", "--mode", mode, "--count", 300, "--duration", 60,
                  "--cpus", LAST)
    readers = [start_reader(pair, "sink0", 200), start_reader(pair, "gen0", 100)]
    pair.generate("--count", 200, "--rate", 5000, "--method", "tx")
    sh(*pair.inside(pair.gen, ENGINE, "gen", "--iface", "sink0", "--count", 100, "--rate", 5000, "--method", "tx"))
    report = finish(child, "fwd")
    assert report["interface"]["mode"] == mode and report["results"][0]["values"]["rate_pps"]["median"] > 0
    both = directions(report)
    for way, count in ((("cap0", "out0"), 200), (("out0", "cap0"), 100)):
        check_direction(both[way])
        assert both[way]["completed"] == count and both[way]["device_refused"] == 0
    for reader, count in zip(readers, (200, 100)):
        frames = json.loads(reader.communicate(timeout=60)[0])
        assert frames == [["020000000002", "020000000001", number] for number in range(count)]


@needs_root()
def test_fwd_back_out_of_one_interface_with_addresses_swapped(lab):
    pair = lab()
    child = start(pair, "fwd", "--iface", "cap0", "--swap-macs", "--count", 50, "--duration", 60, "--cpus", LAST,
                  "--wait", "poll")
    reader = start_reader(pair, "gen0", 50)
    pair.generate("--count", 50, "--rate", 5000, "--method", "tx")
    both = directions(finish(child, "fwd"))
    check_direction(both["cap0", "cap0"])
    assert both["cap0", "cap0"]["completed"] == 50
    frames = json.loads(reader.communicate(timeout=60)[0])
    assert frames == [["020000000001", "020000000002", number] for number in range(50)]


@needs_root()
def test_fwd_accounts_for_every_packet_under_overload(lab):
    pair = lab(queues=2)
    second_pair(pair)
    child = start(pair, "fwd", "--iface", "cap0", "--iface", "out0", "--rounds", 2, "--duration", 0.3, "--cpus", LAST)
    before = counter(pair, pair.gen, "sink0", "packets")
    generator = pair.start(pair.gen, "taskset", "-c", 0, ENGINE, "gen", "--iface", "gen0", "--method", "live")
    both = directions(finish(child, "fwd"))
    generator.terminate()
    got = both["cap0", "out0"]
    check_direction(got)
    assert got["received"] > 1000
    assert counter(pair, pair.gen, "sink0", "packets") - before == got["completed"] - got["device_refused"]
    check_direction(both["out0", "cap0"])


@needs_root()
def test_soak_with_its_own_traffic(lab):
    pair = lab()
    report = run(pair, pair.cap, "soak", *across(pair), "--method", "tx", "--rate", 10000, "--interval", 0.02,
                 "--duration", 0.5)
    got = values(report)
    rounds = len(got["rate_pps"])
    assert rounds >= 2 and got["interval_lost"] == [0] * rounds and len(got["memory_bytes"]) == rounds
    assert got["lost"] == got["unaccounted"] == got["descriptor_growth"] == [0]
    assert got["received"] == got["xdp_seen"] and got["received"][0] <= 200 * rounds
    assert min(got["memory_bytes"]) > 0 and min(got["descriptors"]) > 3 and min(got["longest_gap_ns"]) > 0


@needs_root()
def test_soak_fails_where_packets_are_lost(lab):
    pair = lab(queues=2)
    report = run(pair, pair.cap, "soak", *across(pair), "--queues", 1, "--gen-queues", 2, "--flows", 8, "--method", "tx",
                 "--rate", 10000, "--interval", 0.02, "--duration", 0.02, status=1)
    got = values(report)
    assert got["interval_lost"][0] > 0 and got["no_socket"][0] >= got["interval_lost"][0] and got["unaccounted"] == [0]


PROTOCOLS = ROOT / "examples/protocols.lua"


def soaking(pair, plugin, *options):
    return ("soak", "--gen-iface", "gen0", "--gen-netns", pair.gen, "--gen-cpu", 0, "--method", "tx", "--rate", 10000,
            "--interval", 0.5, "--duration", 2.5, *options, "--", "--iface", "cap0", "--cpus", LAST, "--plugin", plugin)


@needs_root()
def test_soak_of_the_whole_engine(lab):
    pair = lab()
    report = run(pair, pair.cap, *soaking(pair, PROTOCOLS, "--allow-growth", "64MiB"))
    got = values(report)
    rounds = len(got["rate_pps"])
    assert rounds >= 2 and got["interval_lost"] == [0] * rounds
    assert got["lost"] == got["unaccounted"] == got["results_dropped"] == got["plugin_errors"] == [0]
    assert 100 * rounds <= got["received"][0] <= 5000 * rounds
    assert all(size == pytest.approx(60 * rate) for size, rate in zip(got["rate_bytes_per_s"], got["rate_pps"]))
    assert report["interface"]["name"] == "cap0" and report["interface"]["mode"] == "copy"
    assert min(got["memory_bytes"]) > 8 << 20 and min(got["cpu_ns_per_packet"]) > 0


LEAKING = """
local kept, text = {}, string.rep("x", 1024)
function on_packet(p)
  if p.dst_port == 9 then kept[#kept + 1] = text .. #kept end  -- else it is the warm-up's
end
"""


@needs_root()
@pytest.mark.parametrize("code,options,failure", [
    (LEAKING, ("--allow-growth", "1MiB"), "bytes of memory grew"),
    ("function on_packet(p) error('no') end", ("--allow-growth", "64MiB"), "plugin errors"),
])
def test_soak_of_an_engine_fails_with_its_plugin(lab, tmp_path, code, options, failure):
    (tmp_path / "bad.lua").write_text(code)
    pair = lab()
    done = sh(*pair.inside(pair.cap, ENGINE, "bench", *soaking(pair, tmp_path / "bad.lua", *options)), check=False)
    assert done.returncode == 1 and failure in done.stderr, done.stderr


@needs_root()
def test_an_engine_that_ends_ends_its_soak(lab):
    pair = lab()
    child = start(pair, "soak", "--duration", 600, "--interval", 0.1, "--", "--iface", "cap0", "--cpus", LAST, "--count", 10)
    pair.generate("--count", 20, "--rate", 10000, "--method", "tx")
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1 and "the engine: it ended with exit code 0" in err, err


@needs_root()
def test_soak_of_traffic_from_elsewhere_ends_at_a_signal(lab):
    pair = lab()
    child = start(pair, "soak", "--iface", "cap0", "--cpus", LAST, "--wait", "poll", "--duration", 600, "--interval", 500)
    pair.generate("--count", 200, "--rate", 10000, "--method", "tx")
    child.send_signal(signal.SIGINT)
    got = values(finish(child, "soak"))
    assert got["received"] == [200] and got["lost"] == got["unaccounted"] == [0] and got["interval_lost"] == [0]


REFUSED = [
    (["soak"], "needs an interface"),
    (["soak", "--iface", "lo", "--", "--iface", "lo"], "--iface lo: an engine is watched"),
    (["soak", "--", "--iface", "lo", "--control", "x"], "-- --control: the benchmark gives"),
    (["soak", "--iface", "lo", "--interval", "0"], "--interval 0"),
    (["fwd"], "needs an interface"),
    (["fwd", "--iface", "lo", "--iface", "lo"], "is given twice"),
    (["fwd", "--iface", "a", "--iface", "b", "--iface", "c"], "--iface c"),
    (["fwd", "--iface", "nosuch0"], "nosuch0"),
    (["search", "--iface", "lo"], "give --gen-iface"),
    (["search", "--iface", "lo", "--gen-iface", "lo", "--sizes", "63"], "--sizes 63"),
    (["search", "--iface", "lo", "--gen-iface", "lo", "--resolution", "0"], "--resolution 0"),
    (["rx"], "needs an interface"),
    (["rx", "--iface", "lo", "--batch", "257"], "--batch 257"),
    (["rx", "--iface", "lo", "--mode", "afpacket"], "--mode afpacket"),
    (["rx", "--iface", "lo", "--count", "0"], "--count 0"),
    ([], "names nothing to measure"),
    (["txx"], "did you mean tx?"),
    (["tx"], "needs an interface"),
    (["tx", "--iface", "nosuch0"], "nosuch0"),
    (["tx", "--iface", "lo", "--rounds", "0"], "--rounds 0"),
    (["tx", "--iface", "lo", "--size", "9"], "--size 9"),
    (["tx", "--iface", "lo", "--json", "/nonexistent/file"], "--json /nonexistent/file"),
    (["tx", "--iface", "lo", "--cpus", "x"], "--cpus x"),
]


@pytest.mark.parametrize("options, said", REFUSED, ids=[" ".join(options) for options, _ in REFUSED])
def test_bad_input_is_refused_in_one_line(engine, options, said):
    done = sh(engine, "bench", *options, check=False)
    assert done.returncode in (2, 4) and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr


def test_help_names_every_command_and_each_has_its_own(engine):
    commands = [line.split()[0] for line in sh(engine, "bench", "--help").stdout.splitlines() if line.startswith("  ")]
    assert {"fwd", "rx", "search", "soak", "tx"} <= set(commands)
    for command in commands:
        assert sh(engine, "bench", command, "--help").stdout.startswith(f"Usage: engine bench {command} ")
