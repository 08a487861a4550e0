"""The bypass list: flows go to the kernel's stack unseen, counted in the ledger, told with their figures at the end."""

import json

from conftest import finish, ledger, needs_root, patient
from test_block import assert_closed, await_event, packets_by_source, write

FLOW_SOURCE = "10.0.0.4"  # of flow 3 of the generator's

BYPASS_AT_10 = """
uses = { "bypass" }
local seen = engine.counter { name = "seen", key = "src" }
local source, count = ip"%s", 0
function on_packet(p)
  seen:add(p)
  if p.src ~= source then return end
  count = count + 1
  if count == 10 and not p:bypass(args.seconds) then error("refused") end
end
""" % FLOW_SOURCE

ENDS = """
local ends = engine.record { name = "ends", { "dst", "ip" }, { "sport", "u16" }, { "dport", "u16" } }
function on_packet(p) if p.src == ip"%s" then ends:emit(p.dst, p.src_port, p.dst_port) end end
""" % FLOW_SOURCE


@needs_root()
def test_a_flow_passes_by_for_its_time_and_its_figures_are_told(lab, tmp_path):
    net = lab()
    plugin = write(tmp_path / "elephant.lua", BYPASS_AT_10)
    capture = net.capture("--queues", 1, *patient(tmp_path, plugin, seconds=2), "--summary", tmp_path / "ledger.json")
    sent = [net.generate("--flows", 10, "--rate", 20000, "--count", 20000)]
    bypassed, lines = await_event(capture, "bypassed")
    assert bypassed["plugin"] == "elephant" and bypassed["for_s"] == 2 and FLOW_SOURCE in bypassed["target"]
    ended, more = await_event(capture, "bypass_ended")
    assert ended["target"] == bypassed["target"]
    sent.append(net.generate("--flows", 10, "--rate", 10000, "--count", 1000))
    status, rest = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, sent)
    totals = run["totals"]
    assert totals["bypassed"] == ended["packets"] > 0
    assert ended["bytes"] == 64 * ended["packets"], "frames of the generator's default size"
    assert totals["redirected"] + totals["bypassed"] == totals["xdp_seen"]
    seen = packets_by_source(lines + more + [json.loads(line) for line in rest])
    lost = totals["rx_dropped"] + totals["rx_ring_full"]  # of a worker that does not get its core
    assert 0 <= 2100 - totals["bypassed"] - seen[FLOW_SOURCE] <= lost
    assert run["bypasses"] == {"bypassed": 1, "ended": 1, "repeated": 0, "refused_full": 0, "failed": 0,
                               "packets": ended["packets"], "bytes": ended["bytes"]}
    assert run["plugins"][0]["actions_refused"] == 0 and run["plugins"][0]["errors"] == 0


@needs_root()
def test_the_operators_flows_pass_by_from_the_first_packet(lab, tmp_path):
    net = lab()
    probe = net.capture("--queues", 1, "--eval", ENDS)
    net.generate("--flows", 10, "--rate", 10000, "--count", 10)
    _, lines = finish(probe)
    flow = next(line for line in map(json.loads, lines) if line["type"] == "ends")
    listed = write(tmp_path / "flows.txt", "# the backup\n"
                   f"udp {flow['dst']}:{flow['dport']} {FLOW_SOURCE}:{flow['sport']}\n"
                   "tcp [2001:db8::1]:80 [2001:db8::2]:4000 0.1 # soon over\n")
    capture = net.capture("--queues", 1, "--bypass", listed, "--summary", tmp_path / "ledger.json")
    ended, _ = await_event(capture, "bypass_ended")
    assert (ended["by"], ended["packets"]) == ("operator", 0)
    sent = net.generate("--flows", 10, "--rate", 50000, "--count", 10000)
    status, lines = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["totals"]["bypassed"] == 1000
    assert run["bypasses"]["packets"] == 1000, "told at the end of the run too"
    last = [line for line in map(json.loads, lines) if line.get("event") == "bypass_ended"]
    assert [one["packets"] for one in last] == [1000]


@needs_root()
def test_many_flows_fill_the_list_and_neither_output_nor_ledger_suffer(lab, tmp_path):
    net = lab()
    code = "uses = { 'bypass' } function on_packet(p) p:bypass(600) end"
    capture = net.capture("--queues", 1, "--eval", code, "--list-room", 1000, "--summary", tmp_path / "ledger.json")
    sent = net.generate("--flows", 5000, "--rate", 20000, "--count", 40000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["bypasses"]["bypassed"] == 1000
    assert run["bypasses"]["packets"] == run["totals"]["bypassed"] > 0
    assert run["plugins"][0]["actions_refused"] + run["bypasses"]["refused_full"] > 0


@needs_root()
def test_a_tap_has_no_kernel_to_ask(lab, tmp_path):
    net = lab()
    code = """
      uses = { "block", "bypass", "rate" }
      function on_packet(p)
        if p:bypass(5) ~= false or engine.block(p.src, 5) ~= false or engine.rate_limit(1, 5) ~= false then error("taken") end
      end
    """
    capture = net.capture("--mode", "afpacket", "--eval", code, "--summary", tmp_path / "ledger.json")
    sent = net.generate("--flows", 10, "--rate", 10000, "--count", 100)
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    plugin = run["plugins"][0]
    assert plugin["errors"] == 0 and plugin["actions_refused"] == 3 * plugin["packets"] > 0
    assert "blocks" not in run and "bypasses" not in run
