"""engine check: what an author sees, exit codes, JSON, the same results as a run over the file."""

import json
import re
import struct
import subprocess

import pytest

from conftest import ENGINE, ROOT, sh

GOOD = 'local c = engine.counter { name = "c", key = "proto" }\nfunction on_packet(p) c:add(p) end\n'


@pytest.fixture
def plugin(tmp_path):
    def write(code, name="x.lua"):
        path = tmp_path / name
        path.write_text(code)
        return path
    return write


@pytest.fixture(scope="module")
def capture_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("capture") / "mix.pcap"
    sh(ENGINE, "gen", "--write", path, "--mix", "tcp4=3,udp4=3,icmp4=1", "--flows", 100, "--count", 20000, "--rate", 5000)
    return path


def check(*args):
    return subprocess.run([ENGINE, "check", *map(str, args)], capture_output=True, text=True, timeout=60)


def report_of(*args):
    done = check(*args, "--json")
    assert done.returncode in (0, 2), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.lua")), ids=lambda path: path.name)
def test_the_examples_pass_strictly_and_say_what_they_cost(path):
    done = check(path, "--strict")
    assert done.returncode == 0, done.stdout
    report = report_of(path)
    assert [f for f in report["findings"] if f["severity"] != "advice"] == []
    assert 0 < report["cost"]["on_packet_ns"]["p50"] <= report["cost"]["on_packet_ns"]["p99"]
    assert report["cost"]["garbage_bytes_per_packet"] < 4  # of those that match the filter: names that are results
    assert [one for one in report["cost"]["not_compiled"] if one["given_up"]] == []
    assert 0 < report["cost"]["memory_bytes"] <= report["cost"]["peak_memory_bytes"] <= report["cost"]["memory_limit_bytes"]


def test_the_results_are_those_of_a_run_over_the_file(capture_file):
    path = ROOT / "examples" / "top_talkers.lua"
    run = sh(ENGINE, "--pcap", capture_file, "--plugin", f"{path},k=3", "--format", "json").stdout.splitlines()
    report = report_of(f"{path},k=3", "--pcap", capture_file, "--lines", 1000)
    assert report["first_results"] == run and report["results"] == len(run) > 2


def test_a_good_plugin_as_people_see_it(plugin):
    path = plugin(GOOD)
    done = check(path, "--lines", 1)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[1].startswith("results: ") and json.loads(lines[2])["type"] == "c"
    assert any(line.startswith("  on_packet  p50 ") and line.endswith(" per packet, in batches of 64") for line in lines)
    assert any(line.startswith("  memory     ") and line.endswith("limit 64 MiB") for line in lines)
    assert lines[-1] == f"{path}: nothing to say against it"


def test_mistakes_are_found_without_being_run(plugin):
    path = plugin(GOOD + 'function on_stop()\n  if args.never then return pt.len end\nend\n')
    done = check(path)
    assert done.returncode == 2
    assert done.stdout.startswith(f"{path}:4: error: unknown name 'pt'")
    assert done.stdout.endswith(f"{path}: 1 error; failed\n")


def test_a_syntax_error_ends_the_check(plugin):
    path = plugin("function on_packet(p\nend\n")
    report = report_of(path)
    assert report["verdict"] == "failed" and "cost" not in report
    assert [(f["line"], f["rule"]) for f in report["findings"]] == [(2, "syntax")]


def test_errors_while_it_runs_have_file_and_line(plugin):
    path = plugin("local t = {}\nfunction on_packet(p)\n  if p.proto == 17 then t.x.y = 1 end\nend\n")
    found = report_of(path)["findings"]
    assert [(f["severity"], f["rule"], f["file"], f["line"]) for f in found] == [("error", "run", str(path), 3)]


def test_a_plugin_that_does_not_load(plugin):
    path = plugin('local o = { name = "c", key = "sport" }\nlocal c = engine.counter(o)\nfunction on_packet(p) c:add(p) end\n')
    found = report_of(path)["findings"]
    assert [(f["rule"], f["line"], f["text"]) for f in found] == [
        ("load", 2, "counter: key 'sport' is unknown; did you mean 'src_port'?")]


def test_a_packet_that_is_kept_and_read_later_is_an_error(plugin):
    code = "local box = {}\nlocal n = 0\nfunction on_packet(p)\n  if box.last then\n    n = n + box.last.len\n  end\n  box.last = p\nend\n"
    path = plugin(code)
    found = report_of(path)["findings"]
    assert [(f["severity"], f["rule"], f["line"]) for f in found] == [("error", "kept", 5)]


def test_warnings_fail_only_when_asked_to(plugin):
    path = plugin("function on_packet(p)\n  return p:u8(0, 1)\nend\n")
    assert check(path).returncode == 0
    done = check(path, "--strict")
    assert done.returncode == 2 and f"{path}:2: warning: :u8 takes 1 argument, got 2" in done.stdout


def test_garbage_and_code_that_is_not_compiled_are_advice(plugin):
    path = plugin("local n = 0\nfunction on_packet(p)\n  if p.len > 10 then\n    local f = function() return p.len end\n    "
                  "n = n + f()\n  end\nend\n")
    report = report_of(path)
    rules = {f["rule"]: f for f in report["findings"]}
    assert report["cost"]["garbage_bytes_per_packet"] > 30 and "garbage" in rules
    assert rules["jit"]["line"] == 4 and "define it once, outside" in rules["jit"]["text"]
    assert report["cost"]["not_compiled"][0]["place"] == f"{path}:4"


def test_modules_beside_it_are_read_too(plugin):
    plugin("local m = {}\nfunction m.port(q) return undefined_here end\nreturn m\n", "util.lua")
    path = plugin('local util = require "util"\nlocal t = 0\nfunction on_packet(p) t = t + p.len end\n')
    found = report_of(path)["findings"]
    assert [(f["file"], f["line"]) for f in found] == [(str(path.parent / "util.lua"), 2)]


def test_trusted_and_memory_are_as_in_a_run(plugin):
    path = plugin("local size = ffi.sizeof('int')\nfunction on_packet(p) end\n")
    assert check(path).returncode == 2
    assert check(path, "--trusted").returncode == 0
    assert report_of(path, "--trusted", "--deadline", 7)["cost"]["deadline_ns"] == 7_000_000
    hog = plugin("local t = {}\nfunction on_packet(p) for i = 1, 100 do t[#t + 1] = { i } end end\n", "hog.lua")
    report = report_of(hog, "--memory", "8MiB")
    assert report["verdict"] == "failed"
    assert any("8 MiB" in f["text"] for f in report["findings"] if f["severity"] == "error")


@pytest.mark.parametrize("code, where", [
    ("function on_packet(p) while p.proto == 17 do end end", "on_packet ran longer"),
    ("while true do end", "the load ran longer"),
    ("function on_tick() while true do end end", "on_tick ran longer"),
])
def test_a_plugin_that_never_returns_is_told_where(plugin, code, where):
    report = report_of(plugin(code))
    assert report["verdict"] == "failed"
    assert [where in f["text"] for f in report["findings"] if f["severity"] == "error"] == [True]


def test_a_filter_that_keeps_everything_out_is_noticed(plugin, tmp_path):
    path = plugin('filter = "ether proto 0x1234"\nfunction on_packet(p) end\n')
    report = report_of(path, "--strict")
    assert [f["rule"] for f in report["findings"]] == ["filter"] and report["cost"]["on_packet_ns"] is None
    (tmp_path / "empty.pcap").write_bytes(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    report = report_of(plugin(GOOD), "--pcap", tmp_path / "empty.pcap")
    assert report["verdict"] == "passed" and report["results"] == 0 and report["cost"]["memory_bytes"] > 0


def test_a_plugin_that_dies_of_real_packets_is_told_with_what_was_measured(plugin):
    code = "local n = 0\nfunction on_packet(p)\n  n = n + 1\n  while n > 70000 do end\nend\nfunction on_tick() end\n"
    report = report_of(plugin(code))
    assert any("on_packet ran longer" in f["text"] for f in report["findings"] if f["severity"] == "error")
    assert report["cost"]["on_packet_ns"]["samples"] > 100


def test_a_plugin_that_is_late_again_and_again_fails_and_is_measured_all_the_same(plugin):
    code = "local n = 0\nfunction on_packet(p) end\nfunction on_tick(now) for i = 1, 20000000 do n = n + i % 7 end end\n"
    report = report_of(plugin(code), "--deadline", 20)
    assert [f["rule"] for f in report["findings"]] == ["deadline"]
    assert "calls of on_tick took longer than the 20 ms after which they are cut off live" in report["findings"][0]["text"]
    assert report["cost"]["late_ticks"] == report["cost"]["on_tick_ns"]["samples"] >= 3


def test_a_plugin_that_is_late_once_passes(plugin):
    code = ("local n = 0\nfunction on_packet(p)\n  n = n + 1\n"
            "  if n == 16000 then for i = 1, 60000000 do n = n + i % 2 - i % 2 end end\nend\n")
    report = report_of(plugin(code), "--strict", "--deadline", 20)
    assert report["verdict"] == "passed" and report["cost"]["late_batches"] >= 1


def test_each_callback_has_its_time(plugin):
    code = ("local n = 0\nfunction on_start(info) for i = 1, 1000 do n = n + i end end\n"
            "function on_batch(b) for i = 1, #b do n = n + b[i].len end end\nfunction on_tick(now) n = 0 end\n"
            "function on_stop() n = 0 end\n")
    cost = report_of(plugin(code), "--strict")["cost"]
    assert cost["on_batch_ns"]["samples"] > 100 and cost["on_tick_ns"]["samples"] > 0
    assert cost["on_start_ns"] > 0 and cost["on_stop_ns"] > 0 and "on_packet_ns" not in cost


def test_what_the_plugin_logs_is_shown_and_is_no_finding(plugin):
    report = report_of(plugin('function on_packet(p) end\nfunction on_stop() engine.log("warn", "bye") end\n'))
    assert report["findings"] == [] and report["log"] == ["bye"]


@pytest.mark.parametrize("args, words", [
    ([], "names no plugin"),
    (["a.lua", "b.lua"], "one plugin at a time"),
    (["missing.lua"], "missing.lua: No such file"),
    (["a.lua", "--pcap", "-"], "read several times"),
    (["a.lua", "--strct"], "strict"),
])
def test_wrong_usage_is_one_line(args, words):
    done = check(*args)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_an_editor_is_set_up_once_and_its_settings_are_kept(tmp_path):
    first = check("--editor", tmp_path / "plugins")
    assert first.returncode == 0 and first.stdout.count("wrote ") == 3
    settings = json.loads((tmp_path / "plugins" / ".luarc.json").read_text())
    assert settings["workspace.library"] == [".luals"]
    assert (tmp_path / "plugins" / ".luals" / "engine.lua").read_text() == check("--definitions").stdout
    assert 'on_packet = { "engine.packet" }' in (tmp_path / "plugins" / ".luals" / "plugin.lua").read_text()
    (tmp_path / "plugins" / ".luarc.json").write_text("{}")
    second = check("--editor", tmp_path / "plugins")
    assert second.returncode == 0 and "is there already" in second.stdout
    assert (tmp_path / "plugins" / ".luarc.json").read_text() == "{}"
    failed = check("--editor", "/dev/null/x")
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1


def test_definitions_and_reference_are_printed():
    assert check("--definitions").stdout.startswith("---@meta\n")
    assert check("--reference").stdout == (ROOT / "plugins" / "REFERENCE.md").read_text()


# The reference's examples are what people copy. Those that are whole plugins, without "…".
REFERENCE = (ROOT / "plugins" / "REFERENCE.md").read_text()
EXAMPLES = [code for code in re.findall(r"```lua\n(.*?)```", REFERENCE, re.S) if "function on_" in code and "…" not in code]


@pytest.mark.parametrize("code", EXAMPLES, ids=[code.split("\n")[0][:40] for code in EXAMPLES])
def test_the_examples_of_the_reference_pass_strictly(plugin, code):
    done = check(plugin(code), "--strict")
    assert done.returncode == 0, done.stdout
