"""Two plugins on one worker see every packet that they asked for, whatever a third one does: their results are the
same, byte for byte, as without it."""

import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.importorskip("scapy.all", reason="needs python3-scapy")
from captures import make  # noqa: E402
from runs import EXAMPLES, run  # noqa: E402

# They begin in the middle of the run: what is hostile at once does not get through its load.
HOSTILE = {
    "endless loop": "function on_packet(p) while late(p) do end end",
    "endless loop now and then": "local n = 0\n"
                                 "function on_packet(p) n = n + 1 while late(p) and n % 100 == 0 do end end",
    "endless loop inside pcall": "function on_packet(p) pcall(function() while late(p) do end end) end",
    "endless tick": "function on_packet(p) end function on_tick(now) while now > 5e8 do end end",
    "memory": "local kept = {}\n"
              "function on_packet(p) if late(p) then for i = 1, 1e5 do kept[#kept + 1] = { i } end end end",
    "a long text": "local s = 'x' function on_packet(p) if late(p) then s = s .. s end end",
    "deep recursion": "local function f(n) return 1 + f(n + 1) end function on_packet(p) if late(p) then f(1) end end",
    "errors": "function on_packet(p) if late(p) then error('never') end end",
    "a slow pattern": "local s = ('a'):rep(30000) function on_packet(p) if late(p) then s:find('.-.-.-.-b') end end",
    "many results": "local r = engine.record { name = 'r', { 's', 'string' } } local s = ('x'):rep(1000)\n"
                    "function on_packet(p) for i = 1, 50 do r:emit(s) end end",
    "libraries overwritten": "for _, library in pairs { string, table, math, bit } do\n"
                             "  for name in pairs(library) do pcall(rawset, library, name, error) end\nend\n"
                             "function on_packet(p) end",
}
LATE = "local function late(p) return p.time > 5e8 end\n"
NEIGHBOURS = ("dns_names", "flows")


@pytest.fixture(scope="session")
def capture(tmp_path_factory):
    return make("dns", tmp_path_factory.mktemp("neighbours"))


def results(capture, summary, *more):
    options = [word for name in NEIGHBOURS for word in ("--plugin", EXAMPLES / f"{name}.lua")]
    done = run("--pcap", capture, "--workers", 1, *options, *more, "--format", "json", "--summary", summary)
    lines = [line for line in done.stdout.splitlines() if json.loads(line).get("plugin") in NEIGHBOURS]
    return lines, {one["name"]: one for one in json.loads(summary.read_text())["plugins"]}, done.stderr


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_third_changes_nothing(kind, capture, tmp_path):
    alone, before, _ = results(capture, tmp_path / "alone.json")
    (tmp_path / "third.lua").write_text(LATE + HOSTILE[kind])
    beside, after, said = results(capture, tmp_path / "beside.json", "--plugin", tmp_path / "third.lua")
    assert beside == alone and len(alone) > 300
    for name in NEIGHBOURS:
        for figure in ("packets", "filtered", "missed", "errors", "cutoffs"):
            assert after[name][figure] == before[name][figure], (name, figure)
        assert after[name]["missed"] == after[name]["errors"] == 0 and after[name]["state"] == "running"
    assert after["flows"]["packets"] == 480
    third = after["third"]
    if kind not in ("many results", "libraries overwritten"):
        assert third["cutoffs"] + third["errors"] > 0, said
