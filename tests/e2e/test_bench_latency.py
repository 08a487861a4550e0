"""`engine bench latency` and bench/latency on veth: every packet that was sent is measured once, percentiles are in
order, and bad input is refused in one line. No time is asserted."""

import json
import math
import os
import sys

import pytest

from conftest import ENGINE, ROOT, needs_root, sh

PERCENTILES = [f"latency_{name}_ns" for name in ("p50", "p90", "p99", "p99_9", "p99_99", "max")]
COUNT, SKIP = 2000, 100


def check_percentiles(values):
    for one in zip(*(values[name]["rounds"] for name in PERCENTILES), strict=True):
        assert list(one) == sorted(one) and all(math.isfinite(ns) and ns >= 0 for ns in one) and one[-1] > 0


def measure(lab, *options):
    done = sh(*lab.inside(lab.cap, ENGINE, "bench", "latency", "--iface", "cap0", "--gen-iface", "gen0", "--gen-netns",
                          lab.gen, "--count", COUNT, "--rate", 5000, "--rounds", 2, *options, "--json", "-"))
    report = json.loads(done.stdout)
    assert report["schema"] == "engine-bench/1" and report["kind"] == "latency"
    return report, {result["name"]: result["values"] for result in report["results"]}


@needs_root()
@pytest.mark.parametrize("mode, wait", [("copy", "poll"), ("skb", "poll"), ("afpacket", "poll")])
def test_each_packet_is_measured_once(lab, mode, wait):
    report, results = measure(lab(), "--mode", mode, "--wait", wait)
    assert report["interface"]["mode"] == mode and report["interface"]["driver"] == "veth"
    ledger = {name: value["rounds"] for name, value in results["ledger"].items()}
    assert ledger["sent"] == [COUNT, COUNT] and ledger["measured"] == [COUNT - SKIP] * 2
    assert ledger["lost"] == ledger["results_dropped"] == ledger["unaccounted"] == [0, 0]
    check_percentiles(results["wire_to_lua"])
    check_percentiles(results["wire_to_result"])
    # A result is written after Lua has seen its packet; a bucket is 0.1 % wide.
    for lua, result in zip(results["wire_to_lua"]["latency_max_ns"]["rounds"],
                           results["wire_to_result"]["latency_max_ns"]["rounds"], strict=True):
        assert result >= lua * 0.99


@needs_root()
def test_packets_of_another_sender_are_not_measured(lab):
    pair = lab()
    other = pair.start(pair.gen, ENGINE, "gen", "--iface", "gen0", "--method", "live", "--dst4", "192.0.2.1", "--rate",
                       10000)
    _, results = measure(pair, "--mode", "copy", "--wait", "poll")
    assert results["ledger"]["measured"]["rounds"] == [COUNT - SKIP] * 2
    assert other.poll() is None, "it has not sent all the time"


@needs_root()
def test_beside_libpcap(tmp_path):
    build = ENGINE.parent.parent
    done = sh(sys.executable, ROOT / "bench/latency", "--rounds", 2, "--count", COUNT, "--rate", 5000, "--build", build,
              "--json", tmp_path / "latency.json", timeout=300)
    report = json.loads((tmp_path / "latency.json").read_text())
    names = {"engine_afxdp", "engine_afpacket", "libpcap_buffered", "libpcap_immediate"}
    assert {result["name"] for result in report["results"]} == names
    for result in report["results"]:
        check_percentiles(result["values"])
    targets = {ratio["name"]: ratio["target"] for ratio in report["ratios"]}
    assert targets["engine_afxdp / libpcap_buffered: latency_p99_ns"] == 0.1
    assert targets["engine_afxdp / libpcap_immediate: latency_p99_ns"] == 1.0
    assert "libpcap_immediate" in done.stdout
    left = [name for name in os.listdir("/run/netns") if name.startswith(("bcap", "bgen"))]
    assert not left


REFUSED = [
    ([], "needs an interface"),
    (["--iface", "lo"], "needs an interface to send on"),
    (["--iface", "lo", "--gen-iface", "lo", "--count", "100"], "--count 100"),
    (["--iface", "lo", "--gen-iface", "lo", "--size", "59"], "--size 59"),
    (["--iface", "lo", "--gen-iface", "lo", "--rate", "0"], "--rate 0"),
    (["--iface", "lo", "--gen-iface", "lo", "--mode", "best"], "--mode best"),
]


@pytest.mark.parametrize("options, said", REFUSED, ids=[" ".join(options) for options, _ in REFUSED])
def test_bad_input_is_refused_in_one_line(engine, options, said):
    done = sh(engine, "bench", "latency", *options, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr
