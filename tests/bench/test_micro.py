"""bench/micro: each program runs, who takes part is there or said to be missing, the ratios are those of the rounds."""

import json
import os
import pathlib
import re
import runpy
import subprocess

import pytest
from common import results

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("ENGINE_BUILD", ROOT / "build"))
MICRO = ROOT / "bench/micro"

# Of each program what is small, so that all of it takes seconds on a slow machine.
SMALL = (r"^(spsc/.*/8$|rings/(receive|send)/|decode/udp4/|filter/port/|flows/update/(engine|absl)/10000$|"
         r"json/|file/read/|structure/histogram/engine|lua/count_by_protocol/.*/64$|lua_protocol/tcp_mss/|"
         r"kernel/(load_|read_))")

# Before other work, two threads take milliseconds however busy the machine is.
MAY_GO_FIRST = subprocess.run(["chrt", "--fifo", "1", "true"], capture_output=True).returncode == 0

if not (BUILD / "bench").exists():
    pytest.skip("the benchmarks are not built", allow_module_level=True)


def micro(*options, status=0):
    done = subprocess.run([MICRO, "--build", BUILD, *map(str, options)], capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("micro") / "micro.json"
    micro("--filter", SMALL, "--rounds", 2, "--min-time", 0.001, "--json", path, *["--realtime"] * MAY_GO_FIRST)
    return results.read(path)


def test_each_program_has_run_or_is_missing(small_run):
    ran = {word for result in small_run["results"] for word in result["name"].split("/")[0].split("_")}
    missing = {entry["name"] for entry in small_run["missing"]}
    for program in runpy.run_path(str(MICRO))["PROGRAMS"]:
        area = program.removesuffix("_bench")
        assert {area, area + "s"} & ran or program in missing, program
    assert "spsc" in ran and ("kernel" in ran or os.geteuid() != 0)


def test_each_peer_is_there_or_missing(small_run):
    contests = {result["name"] for result in small_run["results"]}
    there = {result["params"]["contestant"] for result in small_run["results"]}
    missing = {entry["name"] for entry in small_run["missing"]}
    assert all(entry["reason"] and entry["remedy"] for entry in small_run["missing"])
    for peer, (pattern, _) in runpy.run_path(str(MICRO))["PEERS"].items():
        if any(re.search(pattern, contest) for contest in contests):
            assert peer in there | missing, peer
    assert not there & missing


def test_figures_are_finite_and_ratios_are_those_of_the_rounds(small_run):
    assert small_run["kind"] == "micro" and small_run["ratios"]
    ns = {}
    for result in small_run["results"]:
        value = result["values"]["ns_per_operation"]
        assert len(value["rounds"]) == 2 and all(one > 0 for one in value["rounds"])
        ns[result["name"]] = value["rounds"]
    assert len(ns) == len(small_run["results"]), "a name stands for one benchmark"
    ours = ns["spsc/single/engine/8"]
    peers = {name: rounds for name, rounds in ns.items() if re.fullmatch("spsc/single/(?!engine).*/8", name)}
    if not peers:
        pytest.skip("no other queue is installed")
    named = {entry["name"]: entry for entry in small_run["ratios"]}
    for name, rounds in peers.items():
        ratio = named[f"spsc/single/8: engine / {name.split('/')[2]}: ns_per_operation"]
        assert ratio["rounds"] == [a / b for a, b in zip(ours, rounds)] and ratio["better"] == "lower"
    best = named["SPSC single: engine / best of the peers, 8 bytes: rate"]
    assert best["rounds"] == [min(them) / us for them, us in zip(zip(*peers.values()), ours)]
    assert (best["better"], best["target"]) == ("higher", 1)


def test_how_two_threads_ran_is_noted(small_run):
    notes = {result["name"]: result["notes"] for result in small_run["results"]}
    expected = ["two threads, pinned to two cores", "best of 20"] + ["real-time priority"] * MAY_GO_FIRST
    assert notes["spsc/single/engine/8"] == expected and notes["json/text/engine"] == []


def test_what_is_not_built_is_missing(tmp_path):
    (tmp_path / "bench").mkdir()
    path = tmp_path / "micro.json"
    done = subprocess.run([MICRO, "--build", tmp_path, "--json", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    made = json.loads(path.read_text())
    assert made["results"] == [] and {entry["name"] for entry in made["missing"]} == set(
        runpy.run_path(str(MICRO))["PROGRAMS"])
    assert "missing: spsc_bench: is not built" in done.stdout


@pytest.mark.parametrize("options", [("--filter", "^nothing is called so$"), ("--rounds", "0"), ("--min-time", "0"),
                                     ("--filter", "(")])
def test_what_cannot_be_run_is_refused_in_one_line(options):
    done = subprocess.run([MICRO, "--build", BUILD, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "bench/micro: " in done.stderr or "micro: error: " in done.stderr
