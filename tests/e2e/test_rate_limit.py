"""The limit on what a source may send: dropped in the kernel, counted, from the command line and from Lua."""

from conftest import finish, ledger, needs_root
from test_block import assert_closed, await_event


@needs_root()
def test_each_source_gets_its_rate_and_the_rest_is_dropped(lab, tmp_path):
    net = lab()
    capture = net.capture("--queues", 1, "--rate-limit", "500,burst=100", "--summary", tmp_path / "ledger.json")
    sent = net.generate("--flows", 10, "--rate", 20000, "--count", 40000)  # 2,000 a second of each source
    status, _ = finish(capture)
    assert status == 0, capture.log
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    totals = run["totals"]
    assert totals["redirected"] + totals["rate_limited"] == totals["xdp_seen"]
    # At most a full bucket and what flows into it meanwhile; ticks of the kernel's clock at both ends.
    assert totals["redirected"] <= 1.1 * 10 * (100 + 500 * sent["seconds"])
    assert totals["redirected"] >= 10 * 100
    assert totals["rate_limited"] > 0


@needs_root()
def test_a_plugin_tightens_it_for_a_time_and_cannot_loosen_it(lab, tmp_path):
    net = lab()
    code = "uses = { 'rate' } function on_start() assert(engine.rate_limit(100, 0.5)) end function on_packet(p) end"
    capture = net.capture("--queues", 1, "--eval", code, "--rate-limit", 100000, "--summary", tmp_path / "ledger.json")
    tighter, _ = await_event(capture, "rate_limit")
    assert (tighter["plugin"], tighter["max_pps"], tighter["for_s"]) == ("eval", 100, 0.5)
    back, _ = await_event(capture, "rate_limit")
    assert back["max_pps"] == 100000
    sent = net.generate("--flows", 10, "--rate", 20000, "--count", 4000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [sent])
    assert run["totals"]["rate_limited"] == 0


@needs_root()
def test_a_plugins_limit_holds_where_the_operator_has_none(lab, tmp_path):
    net = lab()
    code = "uses = { 'rate' } function on_packet(p) assert(engine.rate_limit(100, 600)) end"
    capture = net.capture("--queues", 1, "--eval", code, "--summary", tmp_path / "ledger.json")
    first = net.generate("--flows", 1, "--rate", 1000, "--count", 10)
    await_event(capture, "rate_limit")
    sent = net.generate("--flows", 10, "--rate", 20000, "--count", 20000)
    status, _ = finish(capture)
    assert status == 0
    run = ledger(tmp_path / "ledger.json")
    assert_closed(run, [first, sent])
    assert run["totals"]["rate_limited"] > 0 and run["plugins"][0]["errors"] == 0
