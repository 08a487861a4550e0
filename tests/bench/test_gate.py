"""bench/gate fails when a ratio is worse than its tolerance, and only then. All numbers but the last test's are made up."""

import dataclasses
import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from common import results
from gating import judge, measure

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def an_entry(median=4.0, tolerance=0.2, better="lower"):
    return {"name": "r", **results.series([median]), "better": better, "target": None, "tolerance": tolerance}


@pytest.mark.parametrize("rounds, expected", [
    ([4, 4, 4], judge.LEAST),                       # no spread: the least
    ([4, 4.1, 3.9, 4.05, 3.95, 9], judge.LEAST),    # one disturbed round counts for little
    ([4, 4.3, 3.7, 4.4, 3.6], 3 * 1.4826 * 0.3 / 4),
    ([1, 4, 9], judge.MOST),                        # what is that noisy is not made wider still
])
def test_the_tolerance_comes_from_the_spread(rounds, expected):
    assert judge.tolerance(rounds) == pytest.approx(expected)


@pytest.mark.parametrize("better, now, state", [
    ("lower", 4.0, "held"), ("lower", 4.79, "held"), ("lower", 4.81, "worse"), ("lower", 3.34, "held"),
    ("lower", 3.3, "better"), ("higher", 4.0, "held"), ("higher", 3.34, "held"), ("higher", 3.3, "worse"),
    ("higher", 4.79, "held"), ("higher", 4.81, "better"),
])
def test_beyond_the_tolerance_in_the_wrong_direction_is_worse(better, now, state):
    verdict = judge.judge("r", an_entry(better=better), [now, now * 2, now / 2])
    assert verdict.state == state and verdict.failed == (state == "worse")


def test_another_processor_has_wider_tolerances():
    assert judge.judge("r", an_entry(), [5.5]).failed
    assert not judge.judge("r", an_entry(), [5.5], judge.ELSEWHERE).failed


def test_the_baseline_holds_what_is_measured():
    assert judge.judge("r", None, [4]).failed and judge.judge("r", an_entry(), None).failed
    baseline = results.read(ROOT / "bench/baseline.json")
    measured = [name for source in measure.SOURCES for name in source.ratios]
    assert [entry["name"] for entry in baseline["ratios"]] == measured
    assert all(judge.LEAST <= entry["tolerance"] <= judge.MOST for entry in baseline["ratios"])


# A source that gives the next number of a file each time it runs.
PROGRAM = """#!/usr/bin/python3
import json, pathlib, sys
import made_up
left = pathlib.Path(__file__).with_name("values")
values = json.loads(left.read_text())
left.write_text(json.dumps(values[1:] or values))
if values[0] is None:
    sys.exit("it failed")
made_up.results.write(sys.argv[-1], made_up.document("micro", [], [
    {"name": "steady", "median": 2, "better": "lower"}, {"name": "r", "median": values[0], "better": "lower"}]))
"""


@pytest.fixture
def gate(tmp_path, monkeypatch, capsys):
    """Runs the gate with one round and the folder's baseline: (status, what it said, test cases)."""
    loader = importlib.machinery.SourceFileLoader("gate", str(ROOT / "bench/gate"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gate", loader))
    loader.exec_module(module)

    def run(*more):
        xml = tmp_path / "gate.xml"
        monkeypatch.setattr(sys, "argv", ["gate", "--rounds", "1", "--baseline", str(tmp_path / "baseline.json"),
                                          "--junit", str(xml), *map(str, more)])
        with pytest.raises(SystemExit) as ended:
            module.main()
        cases = ElementTree.parse(xml).iter("testcase") if xml.exists() else ()
        return (ended.value.code, capsys.readouterr().out,
                {case.get("name"): case.find("failure") is None for case in cases})
    return run


@pytest.fixture
def made_up_gate(gate, tmp_path, monkeypatch):
    """The same on a source that gives the values it is told to, one a run, against 4 ± 20 %."""
    program = tmp_path / "program"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'bench'}:{ROOT / 'tests/bench'}")
    monkeypatch.setattr(measure, "SOURCES", (measure.Source("made up", (str(program),), ("steady", "r")),))
    baseline = results.document("micro", [], [{**an_entry(2), "name": "steady"}, an_entry()])
    results.write(tmp_path / "baseline.json", baseline)

    def run(values, *more):
        (tmp_path / "values").write_text(json.dumps(values))
        return gate(*more)
    return run


def test_within_the_tolerance_it_passes(made_up_gate):
    status, said, cases = made_up_gate([4.7])
    assert status == 0 and cases == {"steady": True, "r": True} and "2 held, 0 failed" in said and "again" not in said


def test_worse_each_time_it_fails(made_up_gate):
    status, said, cases = made_up_gate([5.2])
    assert status == 1 and cases == {"steady": True, "r": False}
    assert "FAILED r: worse by 30%" in said and "(3 of 3)" in said


def test_what_is_within_when_measured_again_passes(made_up_gate):
    status, said, cases = made_up_gate([9, 9, 9, 4.1])
    assert status == 0 and cases["r"] and "(3 of 3)" in said
    assert made_up_gate([9, 9, 9, 9, 4.1])[0] == 1


def test_better_is_said_and_update_holds_it(made_up_gate, tmp_path):
    status, said, _ = made_up_gate([2.0])
    assert status == 0 and "bench/gate --update holds it" in said
    assert made_up_gate([2.0], "--update")[0] == 0
    held = {entry["name"]: entry for entry in results.read(tmp_path / "baseline.json")["ratios"]}
    assert held["r"]["median"] == 2 and held["r"]["tolerance"] == judge.LEAST
    assert made_up_gate([4.0])[0] == 1


def test_a_run_that_failed_is_made_once_again(made_up_gate):
    status, _, cases = made_up_gate([None, 4.1])
    assert status == 0 and cases["r"]
    assert made_up_gate([None, None, 4.1])[0] == "bench/gate: made up: it failed"


def test_a_ratio_that_is_gone_is_said(made_up_gate, monkeypatch):
    source = measure.SOURCES[0]
    monkeypatch.setattr(measure, "SOURCES", (measure.Source(source.name, source.command, ("absent",)),))
    assert "gives no ratio 'absent'" in str(made_up_gate([4])[0])


@pytest.mark.skipif(not (ROOT / "build/engine/engine").exists(), reason="build/engine/engine is not built")
def test_with_real_measurements_a_tampered_baseline_decides(gate, tmp_path, monkeypatch):
    source = dataclasses.replace(measure.SOURCES[0], inner_rounds=1)
    monkeypatch.setattr(measure, "SOURCES", (source,))

    def tamper(factor):
        changed = json.loads((tmp_path / "baseline.json").read_text())
        for key in ("median", "min", "max"):
            changed["ratios"][0][key] *= factor
        for at, entry in enumerate(changed["ratios"]):
            entry["tolerance"] = 20 if at else judge.LEAST
        (tmp_path / "baseline.json").write_text(json.dumps(changed))

    assert gate("--update")[0] == 0
    tamper(10)
    status, said, cases = gate("--json", tmp_path / "now.json")
    assert status == 0 and all(cases.values()) and list(cases) == list(source.ratios), said
    assert len(results.read(tmp_path / "now.json")["ratios"]) == len(source.ratios)
    tamper(0.01)
    status, said, cases = gate()
    assert status == 1 and [name for name, held in cases.items() if not held] == [source.ratios[0]], said
