"""Plugins that are loaded anew while packets flow, and plugins that are cut off: what it costs whom, by the ledger and
by the sender's count."""

import json
import signal

from conftest import await_condition, finish, ledger, needs_root, patient, refused

pytestmark = needs_root()

COUNTS = """
local seen = engine.counter {{ name = "seen", key = "proto" }}
local total = 0
function on_start(info) if info.saved then total = info.saved.total end end
function on_packet(p) seen:add(p) total = total + 1 end
function on_save() return {{ total = total }} end
function on_stop() engine.emit("total", {{ total = total }}) end
-- version {version}
"""


def events(lines, name):
    return [e for e in map(json.loads, lines) if e["type"] == "event" and e["event"] == name]


def counted(lines, plugin):
    return sum(entry["packets"] for line in map(json.loads, lines)
               if line["type"] == "seen" and line["plugin"] == plugin for entry in line["entries"])


class Output:
    """The engine's results in a file: read while it runs."""

    def __init__(self, path):
        self.path = path

    def lines(self):
        return [line for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def await_event(self, name, count, timeout=60):
        await_condition(lambda: len(events(self.lines(), name)) >= count, timeout, f"event {name} number {count}")


def test_a_hundred_reloads_at_full_rate_lose_no_packet(lab, tmp_path):
    plugin, out, summary = tmp_path / "counts.lua", Output(tmp_path / "out"), tmp_path / "summary"
    plugin.write_text(COUNTS.format(version=0))
    net = lab(queues=1)
    child = net.capture("--queues", 1, *patient(tmp_path, plugin), "--output", out.path, "--summary", summary)
    sender = net.start(net.gen, "taskset", "-c", "0", *sender_command(net, seconds=40))
    for version in range(1, 101):
        plugin.write_text(COUNTS.format(version=version))
        child.send_signal(signal.SIGHUP)
        out.await_event("plugin_reloaded", version)
    sender.send_signal(signal.SIGINT)
    sent = json.loads(sender.communicate(timeout=60)[0])
    status, _ = finish(child)
    run, lines = ledger(summary), out.lines()
    queue, figures = run["queues"][0], run["plugins"][0]
    assert status == 0
    assert queue["unaccounted"] == 0
    assert queue["xdp_seen"] == sent["sent"] - refused(sent)
    assert figures["reloads"] == 100
    assert figures["missed"] == figures["errors"] == figures["cutoffs"] == 0
    assert figures["packets"] == queue["analysed"] == counted(lines, "counts")
    assert [line["total"] for line in map(json.loads, lines) if line["type"] == "total"] == [queue["analysed"]]


def sender_command(net, seconds, *options):
    from conftest import ENGINE
    return (ENGINE, "gen", "--iface", "gen0", "--json", "--duration", seconds, "--flows", 1000, *options)


def test_watch_loads_a_changed_plugin_anew_and_keeps_the_old_one_on_an_error(lab, tmp_path):
    plugin, out, summary = tmp_path / "counts.lua", Output(tmp_path / "out"), tmp_path / "summary"
    plugin.write_text(COUNTS.format(version=0))
    net = lab(queues=2)
    child = net.capture("--queues", 2, "--watch", *patient(tmp_path, plugin), "--output", out.path, "--summary", summary)
    net.generate("--count", 10_000, "--rate", 100_000, "--flows", 100)
    plugin.write_text("function on_packet(p) this is no Lua")
    out.await_event("plugin_reload_failed", 1)
    net.generate("--count", 10_000, "--rate", 100_000, "--flows", 100)
    (tmp_path / "new").write_text(COUNTS.format(version=1))
    (tmp_path / "new").rename(plugin)  # as editors do
    out.await_event("plugin_reloaded", 1)  # both queues may be one worker's
    net.generate("--count", 10_000, "--rate", 100_000, "--flows", 100)
    status, _ = finish(child)
    run, lines = ledger(summary), out.lines()
    assert status == 0
    assert run["totals"]["unaccounted"] == 0
    assert counted(lines, "counts") == run["totals"]["analysed"]
    failed = events(lines, "plugin_reload_failed")[0]
    assert failed["plugin"] == "counts" and "counts.lua:1:" in failed["reason"]
    assert run["plugins"][0]["missed"] == run["plugins"][0]["errors"] == 0


RUNAWAY = """
function on_packet(p) if p.dst_port == 6666 then while true do end end end
"""


def test_a_runaway_costs_its_neighbours_at_most_its_deadline(lab, tmp_path):
    counts, runaway, summary = tmp_path / "counts.lua", tmp_path / "runaway.lua", tmp_path / "summary"
    counts.write_text(COUNTS.format(version=0))
    runaway.write_text(RUNAWAY)
    net, out = lab(queues=1), Output(tmp_path / "out")
    child = net.capture("--queues", 1, "--plugin", counts, "--plugin", runaway, "--output", out.path, "--summary", summary)
    quiet = net.generate("--count", 5_000, "--rate", 5_000, "--flows", 100)
    poison = net.generate("--count", 1, "--dst-port", 6666)
    out.await_event("plugin_cut_off", 1)
    rest = net.generate("--count", 5_000, "--rate", 5_000, "--flows", 100)
    status, _ = finish(child)
    run, lines = ledger(summary), out.lines()
    sent = sum(one["sent"] - refused(one) for one in (quiet, poison, rest))
    figures = {one["name"]: one for one in run["plugins"]}
    assert status == 0
    assert run["totals"]["unaccounted"] == 0 and run["totals"]["xdp_seen"] == sent
    # 5,000 packets a second fit into the rings for a third of a second: nobody loses anything.
    assert counted(lines, "counts") == sent
    assert figures["counts"]["missed"] == figures["counts"]["cutoffs"] == 0
    assert figures["runaway"]["cutoffs"] == 1 and figures["runaway"]["state"] == "running"
    assert any("longer than its deadline of 20 ms" in line for line in child.log)
    assert len(events(lines, "plugin_restarted")) == 1


def test_three_cut_offs_are_a_quarantine_while_the_others_go_on(lab, tmp_path):
    counts, runaway, summary = tmp_path / "counts.lua", tmp_path / "runaway.lua", tmp_path / "summary"
    counts.write_text(COUNTS.format(version=0))
    runaway.write_text(RUNAWAY)
    net, out = lab(queues=1), Output(tmp_path / "out")
    child = net.capture("--queues", 1, "--plugin", counts, "--plugin", runaway, "--output", out.path, "--summary", summary)
    for n in range(1, 4):
        net.generate("--count", 1, "--dst-port", 6666)
        out.await_event("plugin_cut_off", n)
        if n < 3:
            out.await_event("plugin_restarted", n)
            net.generate("--count", 100, "--rate", 10_000)
    out.await_event("plugin_quarantined", 1)
    net.generate("--count", 1000, "--rate", 10_000)
    status, _ = finish(child)
    run, lines = ledger(summary), out.lines()
    figures = {one["name"]: one for one in run["plugins"]}
    assert status == 0 and run["totals"]["unaccounted"] == 0
    assert counted(lines, "counts") == run["totals"]["analysed"] == 1203
    assert figures["runaway"]["state"] == "quarantined" and figures["runaway"]["cutoffs"] == 3
    assert figures["runaway"]["missed"] >= 1000
    assert events(lines, "plugin_quarantined")[0]["reason"].endswith("left alone for 60 s")


def test_a_plugin_that_keeps_packets_is_told_so(lab, tmp_path):
    keeps = tmp_path / "keeps.lua"
    keeps.write_text("local last function on_packet(p) if last and last.len > 9000 then error('x') end last = p end")
    net = lab(queues=1)
    child = net.capture("--queues", 1, "--plugin", keeps, "--output", "none")
    warning = next(line for line in child.stderr if "warn" in line)
    finish(child)
    assert "plugin keeps: " in warning and "keeps.lua:1" in warning and "after its callback returned" in warning


def test_a_runaway_costs_other_workers_nothing(lab, tmp_path):
    runaway, config, summary = tmp_path / "runaway.lua", tmp_path / "engine.lua", tmp_path / "summary"
    runaway.write_text(RUNAWAY)
    config.write_text(f'plugin "{runaway}" {{ deadline_ms = 3000 }}')
    net, out = lab(queues=2), Output(tmp_path / "out")
    child = net.capture("--queues", 2, "--workers", 2, "--cpus", "0,1", "--rx-ring", 512, "--frames", 512, "--config", config,
                        "--output", out.path, "--summary", summary)
    sender = net.start(net.gen, *sender_command(net, 30, "--queues", 2, "--rate", 1_000))
    poison = net.generate("--queues", 1, "--count", 1, "--dst-port", 6666)
    out.await_event("plugin_cut_off", 1)
    sender.send_signal(signal.SIGINT)
    sent = json.loads(sender.communicate(timeout=60)[0])
    status, _ = finish(child)
    queues = ledger(summary)["queues"]
    lost = [queue["rx_dropped"] + queue["rx_ring_full"] for queue in queues]
    assert status == 0 and all(queue["unaccounted"] == 0 for queue in queues)
    assert sum(queue["xdp_seen"] for queue in queues) == sum(one["sent"] - refused(one) for one in (sent, poison))
    # 500 packets a second and queue, room for a second, three seconds of processor time.
    assert lost[0] > 0
    assert lost[1] == 0
