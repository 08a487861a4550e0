"""engine.block(): what a plugin asks for takes effect in the kernel, for its time, and is accounted for."""

import json
import signal
import time

from conftest import ENGINE, finish, ledger, needs_root, patient, refused, sh

FLOODER = "10.0.0.4"  # flow 3 of the generator's

BLOCK_AT_100 = """
uses = { "block" }
local seen = engine.counter { name = "seen", key = "src" }
local flooder, count = ip"%s", 0
function on_packet(p)
  seen:add(p)
  if p.src ~= flooder then return end
  count = count + 1
  if count == 100 and not engine.block(p.src, args.seconds) then error("refused") end
end
""" % FLOODER


def write(path, text):
    path.write_text(text)
    return path


def await_event(capture, event):
    """Reads the capture's lines up to this event's; returns it and the lines before."""
    lines = []
    for text in capture.stdout:
        line = json.loads(text)
        if line.get("event") == event:
            return line, lines
        lines.append(line)
    raise AssertionError(f"the engine ended without {event}: " + "".join(capture.log))


def packets_by_source(lines):
    sums = {}
    for line in lines:
        for entry in line.get("entries", []):
            sums[entry["src"]] = sums.get(entry["src"], 0) + entry["packets"]
    return sums


def assert_closed(run, sent):
    for queue in run["queues"]:
        assert queue["unaccounted"] == 0, queue
    assert run["totals"]["xdp_seen"] == sum(one["sent"] - refused(one) for one in sent)


@needs_root()
def test_a_flooding_source_is_dropped_for_its_time_and_comes_again(lab, tmp_path):
    net = lab()
    plugin = write(tmp_path / "guard.lua", BLOCK_AT_100)
    capture = net.capture("--queues", 1, *patient(tmp_path, plugin, seconds=2), "--summary", tmp_path / "ledger.json")
    sent = [net.generate("--flows", 10, "--rate", 50000, "--count", 50000)]  # five packets of each a millisecond
    blocked, lines = await_event(capture, "blocked")
    assert (blocked["plugin"], blocked["target"], blocked["for_s"]) == ("guard", FLOODER, 2)
    unblocked, more = await_event(capture, "unblocked")
    assert (unblocked["plugin"], unblocked["target"]) == ("guard", FLOODER)
    lines += more
    sent.append(net.generate("--flows", 10, "--rate", 10000, "--count", 1000))
    status, rest = finish(capture)
    assert status == 0, capture.log
    seen = packets_by_source(lines + [json.loads(line) for line in rest])
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, sent)
    totals = run["totals"]
    assert totals["redirected"] + totals["blocked"] == totals["xdp_seen"]
    late = 5000 - totals["blocked"] - 100  # all of its packets came, and 100 before it was to be blocked
    print(f"packets between the call and the effect: {late}, about {late / 5} ms")
    assert 0 <= late < 1000, "a fifth of a second, on a machine that does other things too"
    lost = totals["rx_dropped"] + totals["rx_ring_full"]  # of a worker that does not get its core
    assert sum(seen.values()) + lost == totals["redirected"]
    share = {source: 5100 for source in seen} | {FLOODER: 5100 - totals["blocked"]}
    assert len(share) == 10 and all(share[source] - lost <= seen[source] <= share[source] for source in share), seen
    assert run["blocks"] == {"blocked": 1, "unblocked": 1, "repeated": 0, "refused_never": 0, "refused_full": 0,
                             "failed": 0}
    assert run["plugins"][0]["actions_refused"] == 0 and run["plugins"][0]["errors"] == 0


@needs_root()
def test_networks_and_ipv6_are_blocked_too(lab, tmp_path):
    net = lab()
    code = """
      uses = { "block" }
      function on_start() engine.block("10.0.0.0/30", 600) engine.block(net"2001:2:0:1::/64", 600) end
      function on_packet(p) end
    """
    capture = net.capture("--queues", 1, "--eval", code, "--summary", tmp_path / "ledger.json")
    for target in ("10.0.0.0/30", "2001:2:0:1::/64"):
        assert await_event(capture, "blocked")[0]["target"] == target
    sent = net.generate("--flows", 10, "--mix", "udp4=1,udp6=1", "--count", 20000, "--rate", 100000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    # Of ten IPv4 sources 10.0.0.1 to .3, and everything that is IPv6.
    assert abs(run["totals"]["blocked"] - (3000 + 10000)) < 1000
    assert run["blocks"]["blocked"] == 2


@needs_root()
def test_a_flood_from_many_sources_fills_the_list_and_neither_output_nor_ledger_suffer(lab, tmp_path):
    net = lab()
    code = "uses = { 'block' } function on_packet(p) engine.block(p.src, 600) end"
    capture = net.capture("--queues", 1, "--eval", code, "--summary", tmp_path / "ledger.json")
    sent = net.generate("--flows", 100000, "--rate", 50000, "--count", 200000)
    status, lines = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["blocks"]["blocked"] == 65536, "--list-room's default"
    assert run["totals"]["blocked"] > 0
    assert run["plugins"][0]["actions_refused"] + run["blocks"]["refused_full"] > 0
    assert run["plugins"][0]["errors"] == 0
    told = [line for line in lines if json.loads(line).get("event") == "blocked"]
    assert 100 <= len(told) <= 100 * (run["duration_s"] + 2)


@needs_root()
def test_the_machine_and_its_gateway_and_what_the_operator_lists_are_never_blocked(lab, tmp_path):
    net = lab()
    sh("ip", "-n", net.cap, "addr", "add", "192.0.2.1/24", "dev", "cap0")
    sh("ip", "-n", net.cap, "route", "add", "default", "via", "192.0.2.2")
    listed = write(tmp_path / "never.txt", "198.51.100.0/24  # the monitoring\n")
    targets = ["192.0.2.1", "192.0.2.2", "192.0.2.0/25", "0.0.0.0/0", "127.0.0.1", "198.51.100.9"]
    code = "uses = { 'block' } function on_start() engine.block('192.0.2.3', 9) %s end" % " ".join(
        f"engine.block('{target}', 9)" for target in targets)
    capture = net.capture("--queues", 1, "--take-all", "--eval", code, "--never-block", listed, "--summary",
                          tmp_path / "ledger.json")
    assert await_event(capture, "blocked")[0]["target"] == "192.0.2.3"
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert run["blocks"]["refused_never"] == len(targets) and run["blocks"]["blocked"] == 1
    assert "192.0.2.1 is not blocked: this machine, a gateway or --never-block lies in it" in "".join(capture.log)


@needs_root()
def test_the_operators_own_entries_outlast_a_plugins(lab, tmp_path):
    net = lab()
    listed = write(tmp_path / "block.txt", f"{FLOODER}\n")
    code = f"""
      uses = {{ "block" }}
      function on_start() engine.block("{FLOODER}", 0.1) engine.block("10.9.9.9", 0.1) end
      function on_packet(p) end
    """
    capture = net.capture("--queues", 1, "--eval", code, "--block", listed, "--summary", tmp_path / "ledger.json")
    assert await_event(capture, "unblocked")[0]["target"] == "10.9.9.9"
    sent = net.generate("--flows", 10, "--rate", 50000, "--count", 10000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["totals"]["blocked"] == 1000
    assert run["blocks"]["repeated"] == 1


@needs_root()
def test_a_reload_may_use_what_no_plugin_used_before(lab, tmp_path):
    net = lab()
    plugin = write(tmp_path / "guard.lua", "function on_packet(p) end")
    capture = net.capture("--queues", 1, *patient(tmp_path, plugin), "--summary", tmp_path / "ledger.json")
    sent = [net.generate("--flows", 10, "--count", 1000, "--rate", 10000)]
    write(plugin, f"""
      uses = {{ "block", "bypass", "rate" }}
      function on_start() engine.block("{FLOODER}", 600) end
      function on_packet(p) end
    """)
    capture.send_signal(signal.SIGHUP)
    assert await_event(capture, "blocked")[0]["target"] == FLOODER
    sent.append(net.generate("--flows", 10, "--count", 1000, "--rate", 10000))
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, sent)
    assert run["totals"]["blocked"] == 100 and run["plugins"][0]["reloads"] == 1


@needs_root()
def test_the_operators_entries_may_have_an_end(lab, tmp_path):
    net = lab()
    listed = write(tmp_path / "block.txt", f"{FLOODER} 600 # ten minutes\n10.9.9.9 0.2\n10.0.0.5\n")
    capture = net.capture("--queues", 1, "--block", listed, "--summary", tmp_path / "ledger.json")
    assert await_event(capture, "unblocked")[0] | {"ts": ""} == {
        "ts": "", "type": "event", "event": "unblocked", "by": "operator", "target": "10.9.9.9"}
    sent = net.generate("--flows", 10, "--rate", 50000, "--count", 10000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["totals"]["blocked"] == 2000


@needs_root()
def test_a_million_entries_are_listed_by_the_operator(lab, tmp_path):
    net = lab()
    listed = tmp_path / "block.txt"
    with listed.open("w") as file:
        for i in range(1_000_000):
            file.write(f"172.{16 + (i >> 16)}.{i >> 8 & 255}.{i & 255}\n")
        file.write(f"{FLOODER}\n")
    begin = time.monotonic()
    capture = net.capture("--queues", 1, "--block", listed, "--summary", tmp_path / "ledger.json")
    print(f"a million entries: ready after {time.monotonic() - begin:.1f} s")
    sent = net.generate("--flows", 10, "--rate", 50000, "--count", 10000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["totals"]["blocked"] == 1000


@needs_root()
def test_without_uses_it_is_an_error_with_the_plugins_line(lab, tmp_path):
    net = lab()
    plugin = write(tmp_path / "guard.lua", "function on_packet(p)\n  local done = engine.block(p.src, 60)\nend\n")
    capture = net.capture("--queues", 1, *patient(tmp_path, plugin), "--summary", tmp_path / "ledger.json")
    sent = net.generate("--count", 50, "--rate", 10000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["totals"]["blocked"] == 0 and run["plugins"][0]["errors"] == run["totals"]["analysed"]
    assert 'guard.lua:2: engine.block: the plugin does not declare' in "".join(capture.log)


def test_on_a_file_both_return_false_and_are_counted(tmp_path):
    file = tmp_path / "trace.pcap"
    sh(ENGINE, "gen", "--write", file, "--count", 100)
    code = """
      uses = { "block", "bypass" }
      function on_packet(p) if engine.block(p.src, 5) ~= false or p:bypass(5) ~= false then error("taken") end end
    """
    done = sh(ENGINE, "--pcap", file, "--eval", code, "--summary", tmp_path / "ledger.json", check=False)
    assert done.returncode == 0, done.stderr
    plugin = ledger(tmp_path / "ledger.json")["plugins"][0]
    assert plugin["actions_refused"] == 200 and plugin["errors"] == 0
