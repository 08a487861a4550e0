"""`engine bench pipeline`: every stage has figures, in the common format; what cannot be measured is named. No figure
itself is asserted. Needs no root."""

import json
import math
import os
import pathlib

import pytest

from conftest import sh

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FAST = ("--rounds", 2, "--time", 0.2)


def pipeline(engine, *options):
    return json.loads(sh(engine, "bench", "pipeline", *FAST, *options, "--json", "-", cwd=ROOT, timeout=300).stdout)


@pytest.mark.parametrize("traffic, batch", [("udp4", 64), ("realistic", 256)])
def test_every_stage_has_figures(engine, traffic, batch):
    report = pipeline(engine, "--traffic", traffic, "--batch", batch)
    assert report["schema"] == "engine-bench/1" and report["kind"] == "pipeline"
    assert report["traffic"] == {"traffic": traffic, "frames": 4096, "batch": batch}
    results = {result["name"]: result["values"] for result in report["results"]}
    analyzers = {"analyzer_" + path.stem for path in (ROOT / "examples").glob("*.lua")}
    assert analyzers and analyzers <= results.keys()
    assert {"touch", "decode", "decode_lua_count", "rewrite_decode_lua_flows_10000", "rewrite_decode_lua_flows_1000000",
            "worker_1_queue", "worker_8_queues", "queue", "json"} <= results.keys()
    for name, values in results.items():
        assert len(values) == 1, name
        for value in values.values():
            assert len(value["rounds"]) == 2 and all(math.isfinite(one) and one > 0 for one in value["rounds"]), name
    ratios = {ratio["name"]: ratio for ratio in report["ratios"]}
    assert ratios["decode_lua_count / touch: ns_per_packet"]["target"] == 4
    flows = "rewrite_decode_lua_flows_1000000 / rewrite_touch_1000000: ns_per_packet"
    assert ratios[flows]["target"] == 10 and ratios["worker_8_queues / worker_1_queue: ns_per_packet"]["target"] == 1.05
    if len(os.sched_getaffinity(0)) > 1:
        assert ratios["two_workers / one_worker: rate_pps"]["target"] == 1.8
    else:
        assert "two_workers" in [entry["name"] for entry in report["missing"]]


def test_what_there_is_not_is_said(engine, tmp_path):
    report = pipeline(engine, "--examples", tmp_path, "--cpus", 0)
    assert {entry["name"] for entry in report["missing"]} == {"analyzers", "two_workers"}
    assert not [result for result in report["results"] if result["name"].startswith("analyzer_")]


@pytest.mark.parametrize("options, said", [(("--traffic", "udp5"), "--traffic udp5"), (("--batch", 257), "--batch 257"),
                                           (("--time", "long"), "--time long"), (("--cpus", 4000), "4000")])
def test_bad_input_is_refused_in_one_line(engine, options, said):
    done = sh(engine, "bench", "pipeline", *options, check=False)
    assert done.returncode in (2, 4) and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr
