"""`engine bench` on veth: the counts agree with the other side's, the results are the common format, and bad input is
refused in one line. No rate is asserted."""

import json
import math
import os

import pytest

from conftest import needs_root, sh

LAST = os.cpu_count() - 1


def run(lab, namespace, *options, status=0, **kwargs):
    """Runs `engine bench ...` to its end; returns its results."""
    from conftest import ENGINE

    done = sh(*lab.inside(namespace, ENGINE, "bench", *options, "--json", "-"), check=False, timeout=300, **kwargs)
    assert done.returncode == status, done.stderr
    report = json.loads(done.stdout)
    check_format(report, options[0])
    return report


def check_format(report, kind):
    assert report["schema"] == "engine-bench/1" and report["kind"] == kind
    assert report["command"].startswith(f"engine bench {kind} ") and report["time"].endswith("Z")
    machine = report["machine"]
    assert machine["cores"] >= 1 and machine["memory_bytes"] > 0 and machine["kernel"] == os.uname().release
    assert isinstance(machine["mitigations"], dict) and isinstance(machine["counters"], bool)
    assert report["results"]
    for result in report["results"]:
        for name, value in result["values"].items():
            if value is None:
                assert any(note.startswith(name + ": ") for note in result["notes"]), f"no reason why there is no {name}"
                continue
            assert value["min"] <= value["median"] <= value["max"] and value["rounds"]
            assert all(math.isfinite(one) and one >= 0 for one in value["rounds"]), (name, value)
        if not machine["counters"]:
            assert result["values"].get("cycles_per_packet") is None


def values(report, index=0):
    return {name: value and value["rounds"] for name, value in report["results"][index]["values"].items()}


def counter(lab, namespace, device, name):
    link = json.loads(sh("ip", "-n", namespace, "-s", "-j", "link", "show", device).stdout)[0]
    return link["stats64"]["rx"][name]


@needs_root()
def test_tx_counts_what_the_kernel_took(lab):
    pair = lab(queues=2)
    before = counter(pair, pair.cap, "cap0", "packets")
    report = run(pair, pair.gen, "tx", "--iface", "gen0", "--queues", 2, "--size", 128, "--flows", 64, "--rate", 20000,
                 "--duration", 0.2, "--rounds", 2, "--cpus", 0)
    got = values(report)
    assert got["sent"] == [4000, 4000] and got["unfinished"] == [0, 0]
    assert counter(pair, pair.cap, "cap0", "packets") - before == sum(got["sent"]) - sum(got["refused"])
    for i in range(2):
        assert got["rate_pps"][i] == pytest.approx(got["rate_pps_queue_0"][i] + got["rate_pps_queue_1"][i])
        assert got["rate_bytes_per_s"][i] == pytest.approx(128 * got["rate_pps"][i])
        assert got["cpu_ns_per_packet"][i] == pytest.approx(got["user_ns_per_packet"][i] + got["kernel_ns_per_packet"][i])
    assert report["traffic"] == {"frame_bytes": 128, "flows": 64}
    assert report["interface"]["driver"] == "veth" and report["interface"]["mode"] == "copy"


REFUSED = [
    ([], "names nothing to measure"),
    (["txx"], "did you mean tx?"),
    (["tx"], "needs an interface"),
    (["tx", "--iface", "nosuch0"], "nosuch0"),
    (["tx", "--iface", "lo", "--rounds", "0"], "--rounds 0"),
    (["tx", "--iface", "lo", "--size", "9"], "--size 9"),
    (["tx", "--iface", "lo", "--json", "/nonexistent/file"], "--json /nonexistent/file"),
    (["tx", "--iface", "lo", "--cpus", "x"], "--cpus x"),
]


@pytest.mark.parametrize("options, said", REFUSED, ids=[" ".join(options) for options, _ in REFUSED])
def test_bad_input_is_refused_in_one_line(engine, options, said):
    done = sh(engine, "bench", *options, check=False)
    assert done.returncode in (2, 4) and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr


def test_help_names_every_command_and_each_has_its_own(engine):
    commands = [line.split()[0] for line in sh(engine, "bench", "--help").stdout.splitlines() if line.startswith("  ")]
    assert "tx" in commands
    for command in commands:
        assert sh(engine, "bench", command, "--help").stdout.startswith(f"Usage: engine bench {command} ")
