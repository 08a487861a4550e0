"""The main job on real packets: queues, ledger, ends, leftovers. The sender's count is the independent fourth party."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from conftest import ENGINE, ROOT, await_condition, finish, ledger, needs_root, patient, refused, sh

pytestmark = needs_root()
COUNT_BY_PROTOCOL = ROOT / "examples/protocols.lua"


def assert_closed(run, sent):
    """Every queue's ledger is closed and the program saw what the sender sent and the peer took."""
    for queue in run["queues"]:
        assert queue["unaccounted"] == 0, queue
    assert run["totals"]["xdp_seen"] == sent["sent"] - refused(sent)


@pytest.mark.parametrize("queues", [1, 2, 4, 8])
def test_every_queue_gets_packets_and_its_ledger_closes(lab, tmp_path, queues):
    net = lab(queues=queues)
    capture = net.capture("--queues", queues, *patient(tmp_path, COUNT_BY_PROTOCOL), "--summary", tmp_path / "ledger.json")
    sent = net.generate("--queues", queues, "--count", 8000 * queues, "--flows", 500, "--rate", 100000)
    status, lines = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert [queue["queue"] for queue in run["queues"]] == list(range(queues))
    for queue, sent_there in zip(run["queues"], sent["queues"], strict=True):
        assert queue["xdp_seen"] == sent_there["sent"] > 0
        assert queue["analysed"] > 0
        assert queue["mode"] == "copy"
    assert_closed(run, sent)
    counted = sum(entry["packets"] for line in lines for entry in json.loads(line).get("entries", []))
    assert counted == run["totals"]["analysed"]


def test_ten_seconds_at_full_rate_lose_nothing_unseen(lab, tmp_path):
    net = lab()
    capture = net.capture("--queues", 1, *patient(tmp_path, COUNT_BY_PROTOCOL),
                          "--summary", tmp_path / "ledger.json")
    sent = net.generate("--method", "live", "--duration", 10)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert sent["sent"] > 1_000_000
    assert_closed(run, sent)


STALLING = """
function on_packet(p)
  local x = 0
  for i = 1, 20000 do x = x + i % 7 end
  if x < 0 then engine.log("info", "never") end
end
"""


@pytest.fixture
def stalling(tmp_path):
    """A configuration with a plugin that takes its time: a deadline that no machine is too slow for."""
    (tmp_path / "stalling.lua").write_text(STALLING)
    (tmp_path / "engine.lua").write_text(f'plugin "{tmp_path}/stalling.lua" {{ deadline_ms = 60000 }}')
    return tmp_path / "engine.lua"


def test_a_plugin_that_stalls_costs_packets_that_are_all_counted(lab, stalling, tmp_path):
    net = lab()
    capture = net.capture("--queues", 1, "--rx-ring", 512, "--config", stalling, "--output", "none",
                          "--summary", tmp_path / "ledger.json")
    sent = net.generate("--method", "live", "--count", 500000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["rx_ring_full"] > 0, "the rings were meant to overflow"
    assert_closed(run, sent)


def test_a_fill_ring_that_starves_costs_packets_that_are_all_counted(lab, stalling, tmp_path):
    """More room in the RX ring than there are frames: with a stalled plugin the kernel finds no frame to write to."""
    net = lab()
    capture = net.capture("--queues", 1, "--rx-ring", 2048, "--frames", 256, "--config", stalling, "--output", "none",
                          "--summary", tmp_path / "ledger.json")
    sent = net.generate("--method", "live", "--count", 200000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["fill_ring_empty"] > 0, "the fill ring was meant to starve"
    assert run["totals"]["rx_dropped"] > 0
    assert_closed(run, sent)


def test_a_stuck_reader_of_stdout_costs_results_and_no_packets(lab, tmp_path):
    net = lab()
    chatty = """
      local seen = engine.record { name = "seen", { "src", "ip" }, { "sport", "u16" } }
      function on_packet(p) seen:emit(p.src, p.src_port) end
    """
    capture = net.capture("--queues", 1, "--eval", chatty, "--summary", tmp_path / "ledger.json")
    sent = net.generate("--count", 400000, "--rate", 200000, "--method", "live")
    capture.send_signal(signal.SIGINT)  # nobody has read stdout so far
    capture.wait(timeout=60)
    assert capture.returncode == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, sent)
    lines = capture.stdout.read().splitlines()
    for line in lines:
        json.loads(line)
    totals = run["totals"]
    assert totals["results_dropped"] > 0
    assert totals["results"] == len(lines)
    assert totals["results"] + totals["results_dropped"] == totals["analysed"]


def test_more_queues_than_there_are_is_an_error_with_the_remedy(lab):
    net = lab(queues=8)
    for namespace, device in ((net.cap, "cap0"), (net.gen, "gen0")):
        sh(*net.inside(namespace, "ethtool", "-L", device, "rx", 2, "tx", 2))
    done = sh(*net.inside(net.cap, ENGINE, "--iface", "cap0", "--queues", 5), check=False)
    assert done.returncode == 4
    assert "2" in done.stderr and "ethtool -L cap0 rx 5 tx 5" in done.stderr, done.stderr
    done = sh(*net.inside(net.cap, ENGINE, "--iface", "cap0", "--queues", 20), check=False)
    assert done.returncode == 4
    assert "2" in done.stderr and "8" in done.stderr, done.stderr


def programs_on(net, device="cap0"):
    return "xdp" in sh("ip", "-n", net.cap, "-d", "link", "show", "dev", device).stdout


def test_kill_9_leaves_nothing_on_the_interface(lab):
    net = lab()
    sh("ip", "-n", net.cap, "addr", "add", "192.0.2.1/24", "dev", "cap0")
    sh("ip", "-n", net.gen, "addr", "add", "192.0.2.2/24", "dev", "gen0")
    # Only the address is asked for and not ARP: what the engine does not take still reaches the stack.
    capture = net.capture("--queues", 1, "--filter", "icmp", "--output", "none")
    assert programs_on(net)
    ping = net.inside(net.gen, "ping", "-c", 1, "-W", 1, "192.0.2.1")
    assert sh(*ping, check=False).returncode != 0, "the engine takes the echo requests"
    capture.kill()
    await_condition(lambda: not programs_on(net), what="the program's removal")
    assert sh(*ping, check=False).returncode == 0, "traffic reaches the stack again"


def test_count_analyses_exactly_so_many_and_counts_the_rest(lab, tmp_path):
    net = lab(queues=2)
    capture = net.capture("--queues", 2, "--count", 1000, *patient(tmp_path, COUNT_BY_PROTOCOL),
                          "--summary", tmp_path / "ledger.json")
    net.generate("--queues", 2, "--count", 4000)
    capture.communicate(timeout=60)
    assert capture.returncode == 0
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["analysed"] == 1000
    assert run["totals"]["unaccounted"] == 0


def test_without_reload_no_thread_keeps_a_capability(lab):
    net = lab()
    capture = net.capture("--queues", 1, "--output", "none", "--no-reload")
    threads = os.listdir(f"/proc/{capture.pid}/task")
    assert len(threads) >= 3
    for thread in threads:
        status = dict(line.split(":", 1) for line in open(f"/proc/{capture.pid}/task/{thread}/status") if ":" in line)
        assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0
    finish(capture)


def test_no_worker_keeps_a_capability(lab):
    net = lab()
    capture = net.capture("--queues", 1, "--output", "none")

    def rights_of_workers():
        for thread in os.listdir(f"/proc/{capture.pid}/task"):
            lines = open(f"/proc/{capture.pid}/task/{thread}/status").read().splitlines()
            status = dict(line.split(":", 1) for line in lines if ":" in line)
            if status["Name"].strip().startswith("worker"):
                yield int(status["CapEff"], 16) | int(status["CapPrm"], 16)

    # Each gives them up itself, before its first packet; nothing announces that.
    await_condition(lambda: list(rights_of_workers()) == [0], what="a worker without rights")
    finish(capture)


def test_a_second_interrupt_ends_at_once_with_130(lab, tmp_path):
    """A plugin with a minute's deadline keeps the worker; the first SIGINT waits for it, the second does not."""
    (tmp_path / "slow.lua").write_text("function on_packet(p) while p.dst_port == 4242 do end end")
    (tmp_path / "engine.lua").write_text(f'plugin "{tmp_path}/slow.lua" {{ deadline_ms = 60000 }}')
    net = lab()
    capture = net.capture("--queues", 1, "--output", "none", "--config", tmp_path / "engine.lua")
    net.generate("--count", 10, "--rate", 1000, "--dst-port", 4242)
    capture.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        capture.wait(timeout=0.5)
    capture.send_signal(signal.SIGINT)
    assert capture.wait(timeout=30) == 130


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_cleanly(lab, sig):
    net = lab()
    capture = net.capture("--queues", 1)
    status, _ = finish(capture, sig)
    assert status == 0
    assert not programs_on(net)


def test_duration_ends_by_itself(lab):
    net = lab()
    begin = time.monotonic()
    capture = net.capture("--queues", 1, "--duration", 1)
    capture.communicate(timeout=60)
    assert capture.returncode == 0
    assert 0.9 < time.monotonic() - begin


def test_a_reader_that_goes_away_ends_the_run_with_0(lab):
    net = lab()
    capture = net.capture("--queues", 1, "--format", "json")
    capture.stdout.close()
    capture.stdout = None
    net.generate("--count", 1000)
    assert capture.wait(timeout=60) == 0


def test_a_foreign_program_is_refused_with_its_id_and_replaced_on_demand(lab):
    net = lab()
    foreign = ENGINE.parent.parent / "tests/bpf/lossy.bpf.o"
    sh("ip", "-n", net.cap, "link", "set", "dev", "cap0", "xdpdrv", "obj", foreign, "sec", "xdp")
    shown = json.loads(sh("ip", "-n", net.cap, "-j", "-d", "link", "show", "dev", "cap0").stdout)[0]
    identifier = str(shown["xdp"]["prog"]["id"])
    done = sh(*net.inside(net.cap, ENGINE, "--iface", "cap0", "--queues", 1), check=False)
    assert done.returncode == 4
    assert identifier in done.stderr and "--replace" in done.stderr, done.stderr
    successor = net.capture("--queues", 1, "--replace", "--duration", 1, "--output", "none")
    successor.communicate(timeout=60)
    assert successor.returncode == 0, successor.log


def test_the_summary_line_without_a_plugin_says_what_passed_by(lab):
    net = lab(queues=2)
    capture = net.capture("--queues", 2, "--format", "json")
    net.generate("--queues", 2, "--count", 6000, "--mix", "udp4=1,tcp6=1,icmp4=1", "--rate", 5000)
    _, lines = finish(capture)
    summaries = [json.loads(line) for line in lines]
    assert summaries and all(line["type"] == "summary" for line in summaries)
    assert sum(line["packets"] for line in summaries) == 6000
    names = {entry["proto"] for line in summaries for entry in line["protocols"]}
    assert {"udp", "tcp", "icmp"} <= names
    for line in summaries:
        assert {"ts", "from", "to", "interfaces", "bytes", "pps", "bps", "drops", "top_sources", "top_ports"} <= set(line)


def test_frames_that_the_filter_does_not_match_pass_to_the_stack(lab, tmp_path):
    net = lab()
    capture = net.capture("--queues", 1, "--filter", "udp port 53", "--output", "none",
                          "--summary", tmp_path / "ledger.json")
    sent = net.generate("--count", 3000, "--mix", "udp4=2,dns4=1", "--rate", 20000)
    finish(capture)
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["redirected"] == sent["kinds"]["dns4"]["sent"]
    assert run["totals"]["passed"] == sent["kinds"]["udp4"]["sent"]
    assert_closed(run, sent)


def test_blocked_sources_are_dropped_and_counted(lab, tmp_path):
    net = lab()
    blocked = tmp_path / "blocked"
    blocked.write_text("# everything the generator sends\n10.0.0.0/8\n")
    capture = net.capture("--queues", 1, "--block", blocked, "--output", "none", "--summary", tmp_path / "ledger.json")
    sent = net.generate("--count", 2000, "--mix", "udp4=1,udp6=1", "--rate", 20000)
    finish(capture)
    run = ledger(tmp_path / "ledger.json")
    assert run["totals"]["blocked"] == sent["kinds"]["udp4"]["sent"]
    assert run["totals"]["analysed"] == sent["kinds"]["udp6"]["sent"]
    assert_closed(run, sent)


def test_idle_costs_next_to_no_cpu_and_little_memory(lab):
    net = lab()
    capture = net.capture("--queues", 1, "--wait", "poll", "--plugin", COUNT_BY_PROTOCOL, "--output", "none")
    pid = engine_pid(capture)

    def cpu_seconds():
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # What is done once, behind the start: a spare state is made, the plugin is looked at.
    def workshop_seconds():
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            if (task / "comm").read_text().strip() == "workshop":
                fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                return (fields[0], int(fields[11]) + int(fields[12]))
        return None

    await_condition(lambda: (seen := workshop_seconds()) is not None and seen[0] == "S" and seen[1] > 0,
                    what="the workshop has done its first work")
    shares = []
    while not shares or (shares[-1] > 0.01 and len(shares) < 6):  # others' interrupts are charged to it too
        begin, before = time.monotonic(), cpu_seconds()
        with pytest.raises(subprocess.TimeoutExpired):  # the wait is the measurement: it must be idle for so long
            capture.wait(timeout=5)
        shares.append((cpu_seconds() - before) / (time.monotonic() - begin))
    assert min(shares) <= 0.01, shares
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    rss_mib = int(status["VmRSS"].split()[0]) / 1024
    umem_mib = 4096 * 2048 / 2**20
    assert rss_mib <= 16 + umem_mib + 2, rss_mib
    finish(capture)


def test_every_frame_can_wait_for_a_worker_that_stands_still(lab, tmp_path):
    net = lab()
    capture = net.capture("--queues", 1, "--output", "none", "--summary", tmp_path / "ledger.json")
    os.kill(engine_pid(capture), signal.SIGSTOP)
    sent = net.generate("--count", 5000, "--rate", 50000, "--method", "live")
    os.kill(engine_pid(capture), signal.SIGCONT)
    finish(capture)
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, sent)
    assert sent["sent"] == 5000 and run["totals"]["analysed"] == 4096
    assert run["totals"]["rx_dropped"] == 904 and run["totals"]["rx_ring_full"] == 0


@pytest.mark.parametrize("frames", [64, 4096])
def test_a_worker_that_coalesces_is_woken_less_often(lab, tmp_path, frames):
    """Of one run's packets, sent evenly in small bursts: how often the worker slept. The ledger closes either way."""
    net = lab()

    def sleeps(*options):
        capture = net.capture("--queues", 1, "--wait", "poll", "--frames", frames, "--rx-ring", frames, "--output", "none",
                              "--summary", tmp_path / "ledger.json", *options)
        tasks = pathlib.Path(f"/proc/{engine_pid(capture)}/task")
        named = lambda: [task for task in tasks.iterdir() if (task / "comm").read_text().startswith("worker")]
        await_condition(named, what="a thread that is named")
        [worker] = named()
        sent = net.generate("--duration", 1, "--rate", 50000, "--method", "live")
        status = (worker / "status").read_text()
        finish(capture)
        run = ledger(tmp_path / "ledger.json")
        assert_closed(run, sent)
        if frames == 4096:
            assert run["totals"]["analysed"] == sent["sent"]
        return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])

    woken, coalesced = sleeps(), sleeps("--rx-usecs", 2000)
    assert woken > 1000  # else nothing is shown
    # 64 frames leave room for 16 packets in a sleep, 320 us of this rate.
    assert coalesced < woken * (0.25 if frames == 4096 else 1.5), (woken, coalesced)


def test_coalescing_is_for_those_that_sleep():
    command = [ENGINE, "--iface", "lo", "--wait", "spin", "--rx-usecs", "100"]
    done = sh(*command, check=False)
    assert done.returncode == 2
    assert "--rx-usecs 100: a worker that spins never sleeps; drop it or --wait spin" in done.stderr


def engine_pid(capture):
    """taskset and ip exec into the engine: the child's own pid is the engine's."""
    assert os.readlink(f"/proc/{capture.pid}/exe").endswith("/engine")
    return capture.pid
