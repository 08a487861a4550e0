"""Which way packets come in: each step down is forced here, and says why; each refusal says what helps; and the mode that
the ledger names is never better than what the kernel does."""

import time

import pytest

from conftest import ENGINE, await_condition, finish, ledger, needs_root, sh

pytestmark = needs_root()


def try_capture(net, *options, device="cap0", before=()):
    """The exit status and the log of a run that is over at once."""
    done = sh(*net.inside(net.cap, *before, ENGINE, "--iface", device, "--duration", 0.2, "--output", "none", *options),
              check=False)
    return done.returncode, done.stderr


def shown(net, device):
    return sh("ip", "-n", net.cap, "-d", "link", "show", "dev", device).stdout


def add_macvlan(net):
    """A device whose driver has no XDP at all, above one that is not captured."""
    sh("ip", "-n", net.cap, "link", "add", "link", "cap0", "name", "mv0", "type", "macvlan")
    sh("ip", "-n", net.cap, "link", "set", "mv0", "up")


def test_a_driver_without_xdp_is_captured_in_generic_mode_and_called_that(lab, tmp_path):
    net = lab()
    add_macvlan(net)
    child = net.start(net.cap, ENGINE, "--iface", "mv0", "--output", "none", "--summary", tmp_path / "ledger.json")
    child.log = []
    await_condition(lambda: "xdpgeneric" in shown(net, "mv0"), what="the generic program")
    line = ""
    while "ready" not in line:
        line = child.stderr.readline()
        child.log.append(line)
    # A broadcast goes to every macvlan.
    send = ("from scapy.all import Ether, IP, UDP, sendp; "
            "sendp(Ether(dst='ff:ff:ff:ff:ff:ff')/IP(dst='192.0.2.9')/UDP(), iface='gen0', count=50, verbose=False)")
    sh(*net.inside(net.gen, "/usr/bin/python3", "-c", send))
    received = lambda: int(sh(*net.inside(net.cap, "cat", "/proc/net/dev")).stdout.split("mv0:")[1].split()[1])
    await_condition(lambda: received() >= 50, what="the macvlan's packets")
    assert finish(child)[0] == 0
    queue, = ledger(tmp_path / "ledger.json")["queues"]
    assert queue["mode"] == "skb"
    assert queue["xdp_seen"] == queue["analysed"] == 50 and queue["unaccounted"] == 0
    assert "native XDP is not to be had" in "".join(child.log) and "no native XDP" in "".join(child.log)


@pytest.mark.parametrize("mode", ["copy", "zerocopy"])
def test_a_driver_without_xdp_refuses_modes_that_need_it(lab, mode):
    net = lab()
    add_macvlan(net)
    status, log = try_capture(net, "--mode", mode, device="mv0")
    assert status == 4
    assert "no native XDP" in log and "--mode skb" in log
    assert "xdp" not in shown(net, "mv0")


def test_what_automatic_does_without_zero_copy_is_called_copy(lab, tmp_path):
    status, log = try_capture(lab(), "--summary", tmp_path / "ledger.json")
    assert status == 0
    assert "mode copy (zero-copy: the driver has no zero-copy AF_XDP)" in log
    assert {queue["mode"] for queue in ledger(tmp_path / "ledger.json")["queues"]} == {"copy"}


def test_zero_copy_is_refused_where_the_driver_has_none(lab):
    net = lab()
    status, log = try_capture(net, "--mode", "zerocopy")
    assert status == 4
    assert "zero-copy was refused" in log and "--mode copy" in log
    assert "xdp" not in shown(net, "cap0")


def test_a_queue_that_somebody_holds_is_refused_and_a_tap_does_not_need_it(lab, tmp_path):
    net = lab(queues=2)
    net.start(net.cap, ENGINE, "gen", "--iface", "cap0", "--method", "tx", "--rate", 1, "--queues", 1, "--duration", 600)
    await_condition(lambda: try_capture(net, "--mode", "copy")[0] == 4, what="the sender's hold of the queue")
    for mode in ("auto", "copy"):
        begin = time.monotonic()
        status, log = try_capture(net, "--mode", mode)
        assert status == 4
        assert "bind queue 0 of cap0: the queue is busy" in log and "ss --xdp" in log
        assert time.monotonic() - begin >= 1, "a queue whose last holder is just gone would have been had by then"
    assert try_capture(net, "--mode", "afpacket", "--summary", tmp_path / "ledger.json")[0] == 0
    assert ledger(tmp_path / "ledger.json")["queues"][0]["mode"] == "afpacket"
    assert try_capture(net, device="cap0:1")[0] == 0


@pytest.mark.parametrize("capability", ["net_raw", "net_admin", "bpf"])
def test_each_capability_that_is_missing_is_named(lab, capability):
    missing = "-bpf,-sys_admin" if capability == "bpf" else f"-{capability}"
    status, log = try_capture(lab(), before=("setpriv", "--bounding-set", missing, "--inh-caps", "-all"))
    assert status == 3
    assert f"CAP_{capability.upper()}" in log and "setcap" in log
    assert len(log.splitlines()) == 1


def test_without_perfmon_redirect_errors_are_said_to_be_missing(lab, tmp_path):
    status, log = try_capture(lab(), "--summary", tmp_path / "ledger.json",
                              before=("setpriv", "--bounding-set", "-perfmon,-sys_admin", "--inh-caps", "-all"))
    assert status == 0
    assert "redirect errors are not counted" in log
    assert ledger(tmp_path / "ledger.json")["queues"][0]["redirect_errors"] is None
