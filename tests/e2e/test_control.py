"""The control socket and SIGHUP: what they change takes effect while packets flow, and loses none."""

import json
import os
import re
import signal
import socket
import stat
import subprocess

import pytest
from conftest import ENGINE, await_condition, finish, ledger, needs_root, refused, sh
from test_block import assert_closed, await_event, write

FLOODER = "10.0.0.4"  # flow 3 of the generator's


class Control:
    """A client of the control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.answers = self.socket.makefile("r")

    def ask(self, command, **members):
        self.socket.sendall(json.dumps({"command": command, **members}).encode() + b"\n")
        return json.loads(self.answers.readline())

    def do(self, command, **members):
        answer = self.ask(command, **members)
        assert answer["ok"], answer
        return answer


def send_in_background(net, *options):
    """The generator, started; its report is what report() returns."""
    return net.start(net.gen, "taskset", "-c", 0, ENGINE, "gen", "--iface", "gen0", "--json", *options)


def report(sender):
    out, err = sender.communicate(timeout=120)
    assert sender.returncode == 0, err
    return json.loads(out)


@needs_root()
def test_lists_are_changed_and_read_while_it_runs(lab, tmp_path):
    net = lab()
    path = tmp_path / "control.sock"
    capture = net.capture("--queues", 1, "--control", path, "--summary", tmp_path / "ledger.json")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    control = Control(path)
    control.do("block", target=FLOODER)
    control.do("block", target="192.0.2.0/24", seconds=600)
    entries = {one["target"]: one for one in control.do("list", what="block")["entries"]}
    assert set(entries) == {FLOODER, "192.0.2.0/24"} and 0 < entries["192.0.2.0/24"]["seconds"] <= 600
    sent = [net.generate("--flows", 10, "--rate", 50000, "--count", 10000)]
    control.do("unblock", target=FLOODER)
    assert control.ask("unblock", target=FLOODER) == {"ok": False, "error": "it is not in the list"}
    control.do("rate_limit", max_pps=1, burst=1)
    sent.append(net.generate("--flows", 10, "--rate", 50000, "--count", 10000))
    assert control.do("rate_limit", max_pps=0)["in_force"] == 0
    sent.append(net.generate("--flows", 10, "--rate", 50000, "--count", 10000))
    status = control.do("status")
    assert status["interfaces"][0]["interface"] == "cap0" and status["totals"]["xdp_seen"] == 30000 - sum(map(refused, sent))
    assert status["lists"] == {"blocked_addresses": 0, "blocked_networks": 1, "bypassed_flows": 0, "rate_limit": 0}
    control.do("stop")
    out, err = capture.communicate(timeout=30)
    assert capture.returncode == 0, err
    assert not path.exists()
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, sent)
    assert run["totals"]["blocked"] == 1000
    assert 0 < run["totals"]["rate_limited"] < 10000
    events = [(line["event"], line["by"]) for line in map(json.loads, out.splitlines()) if line["type"] == "event"]
    assert events == [("blocked", "operator"), ("blocked", "operator"), ("unblocked", "operator"),
                      ("rate_limit", "operator"), ("rate_limit", "operator")]


@needs_root()
def test_a_flow_is_bypassed_and_told_with_its_figures(lab, tmp_path):
    net = lab()
    path = tmp_path / "control.sock"
    code = f"""
      local ends = engine.record {{ name = "ends", {{ "dst", "ip" }}, {{ "sport", "u16" }}, {{ "dport", "u16" }} }}
      function on_packet(p) if p.src == ip"{FLOODER}" then ends:emit(p.dst, p.src_port, p.dst_port) end end
    """
    capture = net.capture("--queues", 1, "--control", path, "--eval", code, "--summary", tmp_path / "ledger.json")
    sent = [net.generate("--flows", 10, "--rate", 10000, "--count", 10)]
    line = json.loads(capture.stdout.readline())
    flow = f"udp {FLOODER}:{line['sport']} {line['dst']}:{line['dport']}"
    control = Control(path)
    control.do("bypass", flow=flow)
    sent.append(net.generate("--flows", 10, "--rate", 50000, "--count", 10000))
    entry = control.do("list", what="bypass")["entries"][0]
    assert entry["packets"] == 1000
    assert control.do("unbypass", flow=flow) == {"ok": True, "packets": 1000, "bytes": entry["bytes"]}
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, sent)
    assert run["totals"]["bypassed"] == 1000


@needs_root()
@pytest.mark.parametrize("by", ["socket", "signal"])
def test_a_hundred_filters_one_after_the_other_lose_no_packet(lab, tmp_path, by):
    net = lab(queues=1)
    path, text = tmp_path / "control.sock", tmp_path / "filter.txt"
    filters = ["udp", "udp and (host 10.0.0.1 or host 10.0.0.3)"]
    write(text, filters[1] + "  # the first\n")
    capture = net.capture("--queues", 1, "--control", path, "--filter-file", text, "--output", tmp_path / "out.jsonl",
                          "--summary", tmp_path / "ledger.json")
    control = Control(path)
    sender = send_in_background(net, "--flows", 10, "--count", 100_000_000, "--duration", 8)
    await_condition(lambda: control.do("status")["totals"]["xdp_seen"] > 0, 30, "the first packet")
    for i in range(100):
        wanted = filters[i % 2]
        if by == "socket":
            control.do("filter", filter=wanted)
        else:
            write(text, wanted)
            capture.send_signal(signal.SIGHUP)
        await_condition(lambda: control.do("status")["filter"] == wanted, 30, "the filter")
    running = sender.poll() is None
    sent = report(sender)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    totals = run["totals"]
    print(f"100 swaps by {by} under {sent['sent'] / sent['seconds']:.0f} packets/s, sender still running: {running}")
    assert totals["passed"] > 0 and totals["redirected"] > 0
    assert totals["passed"] + totals["redirected"] == totals["xdp_seen"]
    events = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines() if '"event"' in line]
    assert len([one for one in events if one["event"] == "filter_changed"]) == 100


@needs_root()
def test_a_tap_without_a_filter_gets_one_and_loses_it_again(lab, tmp_path):
    """The socket counts alone before it has a program; the ledger is one."""
    net = lab(queues=1)
    path = tmp_path / "control.sock"
    capture = net.capture("--mode", "afpacket", "--control", path, "--output", "none",
                          "--summary", tmp_path / "ledger.json")
    control = Control(path)

    def seen():
        return control.do("status")["totals"]["xdp_seen"]

    sender = send_in_background(net, "--flows", 10, "--count", 60_000, "--rate", 20_000)
    for wanted in ("src host 10.0.0.1", "", "udp"):
        before = seen()
        await_condition(lambda: seen() > before + 1000, 30, "a thousand packets")
        control.do("filter", filter=wanted)
    sent = report(sender)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["totals"]["passed"] > 500


@needs_root()
def test_a_wrong_filter_leaves_the_old_one(lab, tmp_path):
    net = lab()
    path, text = tmp_path / "control.sock", write(tmp_path / "filter.txt", "udp")
    capture = net.capture("--queues", 1, "--control", path, "--filter-file", text, "--summary", tmp_path / "ledger.json")
    control = Control(path)
    assert "syntax error" in control.ask("filter", filter="udp prot 53")["error"]
    for wrong, why in (("udp prot 53", "syntax error"), ("# nothing", "holds no filter")):
        write(text, wrong)
        capture.send_signal(signal.SIGHUP)
        event, _ = await_event(capture, "filter_reload_failed")
        assert why in event["reason"]
    assert control.do("status")["filter"] == "udp"
    sent = net.generate("--count", 100, "--rate", 10000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["totals"]["redirected"] == sent["sent"]


@needs_root()
def test_without_a_filter_a_protected_interface_is_not_taken(lab, tmp_path):
    net = lab()
    sh("ip", "-n", net.cap, "addr", "add", "192.0.2.1/24", "dev", "cap0")
    sh("ip", "-n", net.cap, "route", "add", "default", "via", "192.0.2.2")
    path = tmp_path / "control.sock"
    capture = net.capture("--queues", 1, "--control", path, "--filter", "udp port 53")
    control = Control(path)
    answer = control.ask("filter", filter="")
    assert not answer["ok"] and "carries the IPv4 default route" in answer["error"]
    assert control.do("status")["filter"] == "udp port 53"
    assert finish(capture)[0] == 0


@needs_root()
def test_reload_is_a_command_and_given_up_rights_are_said(lab, tmp_path):
    net = lab()
    path = tmp_path / "control.sock"
    plugin = write(tmp_path / "guard.lua", "function on_packet(p) end")
    capture = net.capture("--queues", 1, "--control", path, "--plugin", plugin, "--no-reload")
    control = Control(path)
    write(plugin, "uses = { 'block' } function on_start() engine.block('10.9.9.9', 60) end function on_packet(p) end")
    control.do("reload")
    assert await_event(capture, "blocked")[0]["plugin"] == "guard"
    assert "--no-reload" in control.ask("filter", filter="udp")["error"]
    assert finish(capture)[0] == 0


@needs_root()
def test_a_second_engine_does_not_take_the_path_and_a_dead_ones_is_replaced(lab, tmp_path):
    net = lab()
    path = tmp_path / "control.sock"
    capture = net.capture("--queues", 1, "--control", path)
    second = subprocess.run(net.inside(net.cap, ENGINE, "--iface", "cap0", "--control", path),
                            capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2 and re.search("another process listens there", second.stderr), second.stderr
    capture.kill()
    capture.communicate()
    again = net.capture("--queues", 1, "--control", path)
    assert Control(path).do("status")["interfaces"][0]["interface"] == "cap0"
    assert finish(again)[0] == 0
