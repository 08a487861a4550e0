"""Bad input gets one line that names the thing, the reason and the remedy, the right exit code, and leaves nothing."""

import os
import subprocess

import pytest

from conftest import ENGINE, ledger, needs_root, sh


def run(*options, check=False, **kwargs):
    return subprocess.run([ENGINE, *map(str, options)], check=check, capture_output=True, text=True, timeout=30,
                          **kwargs)


def assert_one_line(done, status, *words):
    assert done.returncode == status, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("engine: error")]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize("options, status, words", [
    (["--iface", "lo", "--frobnicate"], 2, ["--frobnicate"]),
    (["--iface", "lo", "--queue", "1"], 2, ["--queue", "--queues"]),
    (["--iface", "lo", "--queues", "100000"], 2, ["--queues", "100000"]),
    (["--iface", "lo", "--queues", "many"], 2, ["--queues", "many"]),
    (["--pcap", "/nonexistent.pcap"], 2, ["/nonexistent.pcap"]),
    (["--pcap", "/nonexistent.pcap", "--iface", "lo"], 2, ["--pcap", "--iface"]),
    ([], 2, ["--iface"]),
    (["--iface", "lo", "--mode", "warp"], 2, ["--mode", "zerocopy"]),
    (["--config", "/nonexistent.lua"], 2, ["/nonexistent.lua"]),
    (["frobnicate"], 2, ["frobnicate"]),
])
def test_a_wrong_command_line(options, status, words):
    assert_one_line(run(*options), status, *words)


def test_a_file_that_is_no_capture(tmp_path):
    (tmp_path / "poem.pcap").write_text("roses are red\n" * 10)
    assert_one_line(run("--pcap", tmp_path / "poem.pcap"), 2, "poem.pcap")


@pytest.fixture
def some_capture(tmp_path):
    path = tmp_path / "some.pcap"
    assert run("gen", "--write", path, "--count", 10).returncode == 0
    return path


def test_a_plugin_that_is_missing(some_capture):
    assert_one_line(run("--pcap", some_capture, "--plugin", "nowhere.lua"), 2, "nowhere.lua")


def test_a_plugin_that_does_not_compile_is_named_with_its_line(some_capture, tmp_path):
    (tmp_path / "broken.lua").write_text("\n\nfunction on_packet(p\n")
    assert_one_line(run("--pcap", some_capture, "--plugin", tmp_path / "broken.lua"), 2, "broken.lua:")


def test_an_unknown_configuration_key_is_named_with_file_and_line(some_capture, tmp_path):
    (tmp_path / "c.lua").write_text('capture {\n  pcap = "x",\n  quues = 3,\n}\n')
    assert_one_line(run("--config", tmp_path / "c.lua"), 2, "c.lua:", "quues", "queues")


def test_a_filter_that_is_none(some_capture):
    assert_one_line(run("--pcap", some_capture, "--filter", "udp prot 53"), 2, "udp prot 53")


def test_an_output_that_cannot_be_written(some_capture):
    done = run("--pcap", some_capture, "--output", "/nonexistent/out.jsonl")
    assert_one_line(done, 2, "/nonexistent/out.jsonl")


def test_a_summary_that_cannot_be_written_is_found_before_the_run(some_capture):
    done = run("--pcap", some_capture, "--summary", "/nonexistent/s.json")
    assert_one_line(done, 2, "/nonexistent/s.json")
    assert done.stdout == ""


def test_a_plugin_that_declares_other_structures_on_another_worker_is_refused(some_capture):
    code = """
      local c
      function on_start(info)
        c = (info.worker == 0 and engine.counter or engine.topk) { name = "a", key = "src" }
      end
      function on_packet(p) c:add(p) end
    """
    assert_one_line(run("--pcap", some_capture, "--eval", code, "--workers", 2), 2, "plugin eval", "worker 1")


def test_help_that_cannot_be_written_says_so():
    with open("/dev/full", "w") as full:
        done = subprocess.run([ENGINE, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=10)
    assert_one_line(done, 1, "stdout", "No space left")


def test_threads_that_cannot_be_had_end_the_run_with_1(some_capture):
    if os.geteuid() != 0:
        pytest.skip("needs root: another user's limit on threads")
    with open(some_capture, "rb") as stream:
        done = subprocess.run(["setpriv", "--reuid", "54321", "--clear-groups", "prlimit", "--nproc=4", ENGINE, "--pcap",
                               "-", "--workers", "8"], stdin=stream, capture_output=True, text=True, timeout=30)
    assert_one_line(done, 1, "threads")


def test_a_full_disk_ends_the_run_with_1(some_capture):
    done = run("--pcap", some_capture, "--output", "/dev/full")
    assert_one_line(done, 1, "/dev/full")


@needs_root()
class TestOnTheMachine:
    def test_an_unknown_interface(self):
        assert_one_line(run("--iface", "nope0", "--queues", "1"), 4, "nope0", "ip link")

    def test_an_interface_with_the_default_route_is_only_tapped_and_both_flags_named(self, lab, tmp_path):
        net = lab()
        sh("ip", "-n", net.cap, "addr", "add", "192.0.2.1/24", "dev", "cap0")
        sh("ip", "-n", net.cap, "route", "add", "default", "via", "192.0.2.2")
        done = sh(*net.inside(net.cap, ENGINE, "--iface", "cap0", "--queues", 1, "--mode", "copy"), check=False)
        assert_one_line(done, 4, "cap0", "default route", "--filter", "--take-all")
        blocked = tmp_path / "blocked"
        blocked.write_text("10.0.0.1\n")
        done = sh(*net.inside(net.cap, ENGINE, "--iface", "cap0", "--block", blocked), check=False)
        assert_one_line(done, 4, "cap0", "default route", "the block list needs AF_XDP", "--filter", "--take-all")
        tapped = net.capture("--queues", 1, "--duration", 0.2, "--output", "none", "--summary", tmp_path / "ledger.json")
        tapped.communicate(timeout=20)
        assert any("default route" in line and "tapped by AF_PACKET" in line for line in tapped.log)
        assert ledger(tmp_path / "ledger.json")["queues"][0]["mode"] == "afpacket"
        taken = net.capture("--queues", 1, "--take-all", "--duration", 0.2, "--output", "none")
        taken.communicate(timeout=20)
        assert taken.returncode == 0

    def test_without_permission_the_capability_is_named(self, lab):
        net = lab()
        done = sh(*net.inside(net.cap, "setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--reuid", "65534",
                              "--regid", "65534", "--clear-groups", ENGINE, "--iface", "cap0"), check=False)
        assert_one_line(done, 3, "CAP_NET_RAW")

    def test_memlock_too_low_without_ipc_lock_is_explained(self, lab):
        net = lab(queues=2)
        done = sh(*net.inside(net.cap, "prlimit", "--memlock=65536:65536", "setpriv", "--bounding-set",
                              "-ipc_lock,-sys_resource", "--inh-caps", "-all", ENGINE, "--iface", "cap0"), check=False)
        assert_one_line(done, 3, "RLIMIT_MEMLOCK", "CAP_IPC_LOCK")

    def test_an_mtu_that_zero_copy_cannot_have_is_named_with_the_limit(self, lab):
        net = lab(mtu=9000)
        done = sh(*net.inside(net.cap, ENGINE, "--iface", "cap0", "--mode", "zerocopy"), check=False)
        assert_one_line(done, 4, "one frame holds packets up to MTU 3818", "mtu 3818", "--mode copy")

    def test_on_a_kernel_without_af_xdp_the_interface_is_tapped_and_the_reason_said(self, lab, tmp_path):
        """socket(AF_XDP) is made to fail as on such a kernel, by a seccomp filter around the engine."""
        net = lab()
        without = ("/usr/bin/python3", os.path.join(os.path.dirname(__file__), "no_af_xdp.py"), ENGINE, "--iface", "cap0")
        done = sh(*net.inside(net.cap, *without, "--mode", "copy"), check=False)
        assert_one_line(done, 4, "AF_XDP", "CONFIG_XDP_SOCKETS")
        done = sh(*net.inside(net.cap, *without, "--duration", 0.2, "--summary", tmp_path / "ledger.json"), check=False)
        assert done.returncode == 0, done.stderr
        assert "built without AF_XDP" in done.stderr and "tapped by AF_PACKET" in done.stderr
        assert ledger(tmp_path / "ledger.json")["queues"][0]["mode"] == "afpacket"
