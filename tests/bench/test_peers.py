"""bench/peers: every contestant that is here takes part, all counts agree, and what is not here is said.

No rate is judged: a busy machine may lose packets, which the document then says.
"""

import os
import pathlib
import subprocess

import pytest
from common import results
from peers import live, table

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = ROOT / "bench/peers/run"
BUILD = pathlib.Path(os.environ.get("ENGINE_BINARY", ROOT / "build/engine/engine")).parents[1]
LOST = "lost packets at "
# One of each kind.
LIVE = ["rxdrop", "engine", "engine_flows", "engine_enforcing", "engine_tap", "libpcap_16MiB", "libpcap_immediate",
        "tcpdump_file", "suricata"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces, CAP_NET_ADMIN and CAP_BPF")


def peers(*words, **kwargs):
    return subprocess.run([str(RUN), *map(str, words)], check=False, capture_output=True, text=True, timeout=300, **kwargs)


def measured(tmp_path, *words, **kwargs):
    done = peers(*words, "--build", BUILD, "--rounds", 1, "--quiet", "--json", tmp_path / "peers.json", **kwargs)
    assert done.returncode == 0, done.stderr
    return results.read(tmp_path / "peers.json"), done.stdout


def without(tmp_path, *programs):
    """The environment, with a PATH on which these programs are not."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(":") + ["/usr/sbin", "/sbin"]):
        for program in pathlib.Path(place).glob("*"):
            if program.name not in programs and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    return {**os.environ, "PATH": str(folder)}


@needs_root
def test_live_all_that_are_here(tmp_path):
    document, shown = measured(tmp_path, "live", "--what", "cpu,memory", "--seconds", 0.1, "--flows", 100,
                               "--cpu-rates", 20_000, "--only", ",".join(LIVE))
    assert document["kind"] == "peers" and document["interface"]["driver"] == "veth"
    cpu = {entry["name"]: entry["values"] for entry in document["results"] if "rate_pps" in entry["params"]}
    memory = {entry["name"]: entry["values"] for entry in document["results"] if "buffer_bytes" in entry["values"]}
    absent = [entry["name"] for entry in document["missing"]]
    for name in LIVE:
        assert name in cpu or name in absent or f"{name}: CPU time" in absent, name
        assert name in memory or name in absent or f"{name}: memory" in absent, name
        assert name in shown
    for entry in document["missing"]:
        assert entry["remedy"] and (entry["reason"].endswith("is not installed") or entry["reason"].startswith(LOST))
    for values in (cpu[name] for name in cpu if name != "nobody"):
        assert 0 < values["cpu_ns_per_packet"]["median"] < 1e8
        assert values["user_ns_per_packet"]["median"] + values["kernel_ns_per_packet"]["median"] == pytest.approx(
            values["cpu_ns_per_packet"]["median"])
    for values in memory.values():
        assert values["memory_bytes"]["median"] == values["buffer_bytes"]["median"] + values["other_bytes"]["median"]
        assert values["buffer_packets"]["median"] > 0


@needs_root
def test_live_a_rate_is_without_loss_and_the_ledger_closes(tmp_path):
    permitted = subprocess.run(["chrt", "--rr", "1", "true"], check=False, capture_output=True).returncode == 0
    priority = ["--realtime"] if permitted else []  # a busy machine loses less then
    document, _ = measured(tmp_path, "live", "--what", "rate", "--seconds", 0.1, "--only", "rxdrop,engine_flows", *priority)
    assert document["traffic"]["realtime"] == bool(priority)
    rates = {entry["name"]: entry["values"] for entry in document["results"]}
    if document["missing"]:
        assert all(entry["reason"].startswith(LOST) for entry in document["missing"])
        pytest.skip("this machine lost packets at every rate")
    assert all(values["rate_pps"]["median"] > 0 and values["lost"]["max"] == 0 for values in rates.values())
    assert rates["engine_flows"]["unaccounted"]["max"] == 0
    ratio, = document["ratios"]
    assert ratio["name"] == "engine_flows / rxdrop: rate_pps" and ratio["target"] == 0.97
    assert ratio["median"] == pytest.approx(rates["engine_flows"]["rate_pps"]["median"] / rates["rxdrop"]["rate_pps"]["median"])


def test_offline_counts_agree(tmp_path):
    document, shown = measured(tmp_path, "offline", "--packets", 20_000, "--slow-share", 20)
    here = {entry["name"]: entry for entry in document["results"]}
    assert set(here) | {entry["name"] for entry in document["missing"]} == {
        "engine_count", "engine_flows", "engine_count_filter", "tcpdump_filter", "tshark_tap", "suricata"}
    assert document["traffic"]["packets"] == 20_000 and here["engine_count"]["params"]["packets"] == 20_000
    for name, entry in here.items():
        assert entry["values"]["rate_pps"]["median"] > 0 and entry["values"]["cpu_ns_per_packet"]["median"] > 0
        assert name in shown


def test_offline_a_peer_that_is_missing_is_said(tmp_path):
    document, shown = measured(tmp_path, "offline", "--packets", 1_000,
                               env=without(tmp_path, "tshark", "suricata", "tcpdump"))
    assert [entry["name"] for entry in document["missing"]] == ["tcpdump_filter", "tshark_tap", "suricata"]
    assert all(entry["remedy"] == "bench/peers/install" for entry in document["missing"])
    assert "missing: suricata: suricata is not installed; bench/peers/install" in shown
    assert {entry["name"] for entry in document["results"]} == {"engine_count", "engine_flows", "engine_count_filter"}


@pytest.mark.parametrize(("words", "said"), [
    (["offline", "--only", "nobody"], "contestant 'nobody' is not known; there are engine_count, "),
    (["offline", "--rounds", "0"], "'0' is not a whole number from 1"),
    (["sideways"], "invalid choice: 'sideways'"),
])
def test_bad_input_is_refused_in_one_line(words, said):
    done = peers(*words, *(["--build", BUILD] if words[0] == "offline" else []))
    assert done.returncode != 0 and said in done.stderr.splitlines()[-1]


def test_peers_get_their_best_and_ratios_are_made_within_a_round():
    class Options:
        cpu_rates = [1000]

    rates = {"engine_flows": [8, 9], "libpcap_16MiB": [1, 3], "libpcap_64MiB": [4, 3]}
    figures = {(name, "rate"): [{"rate_pps": value} for value in values] for name, values in rates.items()}
    ratio, = live.ratios(figures, Options)
    assert ratio["name"] == "engine_flows / libpcap_64MiB: rate_pps" and ratio["rounds"] == [2, 3]


def test_memory_is_compared_for_the_same_buffered_time():
    ours = [{"buffer_bytes": 8, "other_bytes": 2, "memory_bytes": 10, "buffer_packets": 4, "buffer_bytes_per_packet": 2}]
    theirs = [{"buffer_bytes": 64, "other_bytes": 6, "memory_bytes": 70, "buffer_packets": 8, "buffer_bytes_per_packet": 8}]
    same_time, as_set_up, other = live.memory_ratios("peer", ours, theirs, 0.4)
    assert same_time["median"] == pytest.approx(10 / (6 + 8 * 4)) and same_time["target"] == 0.4
    assert as_set_up["median"] == pytest.approx(10 / 70) and other["median"] == pytest.approx(2 / 6)


def test_the_table_has_medians_targets_and_what_is_missing():
    entry = {"name": "a", "params": {"rate_pps": 5}, "values": {"x_ns": results.series([1, 2, 30]), "y": None}}
    text = table.render(results.document("peers", [entry], [results.ratio("a / b", [3, 4], [1, 1], "lower", 2)],
                                         [{"name": "c", "reason": "is not here", "remedy": "get it"}], command="made up"))
    lines = text.splitlines()
    assert lines[1].split() == ["a", "rate_pps=5", "2", "-"]
    assert lines[4].split() == ["a", "/", "b", "3.5", "3", "4", "<=", "2", "missed"]
    assert lines[-1] == "missing: c: is not here; get it"


@needs_root
def test_what_it_made_is_gone_when_it_is_ended(tmp_path):
    child = subprocess.Popen([str(RUN), "live", "--only", "rxdrop", "--what", "rate", "--build", str(BUILD)], text=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr.readline()  # it says what it measures: the namespaces are there
    namespaces = [f"bcap{child.pid}", f"bgen{child.pid}"]
    there = subprocess.run(["ip", "netns"], check=True, capture_output=True, text=True).stdout
    assert all(name in there for name in namespaces)
    child.terminate()
    assert "ended by SIGTERM" in child.communicate(timeout=120)[1] and child.returncode == 1
    there = subprocess.run(["ip", "netns"], check=True, capture_output=True, text=True).stdout
    assert not any(name in there for name in namespaces)
