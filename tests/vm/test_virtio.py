"""virtio_net with several queues, fed from outside the machine: zero-copy where it says so, and only there."""

import pytest
from guest import Engine, Probed, generate, set_probes, taken
from machine import Nic

COUNT = 4000


@pytest.fixture(scope="module")
def machine(boot, tap_host):
    nics = [Nic("cap0", tap="gen0", queues=4), Nic("plain0", hub=0, iommu=False), Nic("gen1", hub=0)]
    machine = boot(nics, cpus=2, prefix=tap_host.prefix)
    machine.sh("ip link set cap0 up && ip link set plain0 up && ip link set gen1 up")
    set_probes(machine)
    return machine


def capture(machine, tap_host, *options):
    """One run of the engine on cap0 while COUNT frames arrive; (summary, frames sent, hits of the probes, log)."""
    with Probed(machine) as hits:
        engine = Engine(machine, "--iface", "cap0", "--take-all", *options)
        sent = tap_host.send(COUNT, flows=64, per_second=2000)
        machine.await_quiet("cap0")
        summary = engine.finish()
    return summary, sent, hits, engine.log()


def delivered(summary):
    return summary["totals"]["redirected"] - summary["totals"]["rx_dropped"]


@pytest.fixture
def all_pairs(machine):
    machine.sh("ethtool -L cap0 combined 4")
    yield
    machine.sh("ethtool -L cap0 combined 2")


@pytest.mark.usefixtures("all_pairs")
def test_zero_copy_on_every_queue(machine, tap_host):
    summary, sent, hits, log = capture(machine, tap_host)
    assert [queue["mode"] for queue in summary["queues"]] == ["zerocopy"] * 4, log
    assert "4 queues" in log and "zerocopy" in log
    assert summary["totals"]["unaccounted"] == 0
    assert summary["totals"]["xdp_seen"] == sent == COUNT
    assert all(queue["rx_packets"] > 0 for queue in summary["queues"]), summary["queues"]
    assert hits == {"delivered": sent, "copied": 0, "generic": 0}


def grown(machine):
    """virtio_net adds a queue pair for each CPU when a program is attached, and takes them away when it is detached."""
    return int(machine.sh("ls -d /sys/class/net/cap0/queues/rx-* | wc -l")) > 2


def test_queues_that_come_with_the_program_are_captured_and_let_go_before_it(machine, tap_host):
    for _ in range(2):  # what is not let go crashes the kernel at the next attach
        assert not grown(machine)
        summary, sent, hits, log = capture(machine, tap_host)
        assert [queue["mode"] for queue in summary["queues"]] == ["zerocopy"] * 4, log
        assert all(queue["rx_packets"] > 0 for queue in summary["queues"]), summary["queues"]
        assert summary["totals"]["unaccounted"] == 0
        assert summary["totals"]["xdp_seen"] == sent == COUNT
        assert hits == {"delivered": sent, "copied": 0, "generic": 0}


def test_they_are_let_go_first_also_when_the_engine_is_killed(machine):
    for _ in range(3):
        engine = Engine(machine, "--iface", "cap0", "--take-all")
        assert grown(machine)
        machine.sh(f"kill -KILL {engine.pid}")
        assert engine.ended() == 137
        machine.await_sh("[ $(ls -d /sys/class/net/cap0/queues/rx-* | wc -l) = 2 ]")


def test_copy_is_called_copy(machine, tap_host):
    summary, sent, hits, log = capture(machine, tap_host, "--mode", "copy")
    assert {queue["mode"] for queue in summary["queues"]} == {"copy"}, log
    assert summary["totals"]["unaccounted"] == 0
    assert summary["totals"]["xdp_seen"] == sent
    assert hits == {"delivered": delivered(summary), "copied": sent, "generic": 0}


def test_a_generic_program_is_never_called_zero_copy(machine, tap_host):
    summary, sent, hits, log = capture(machine, tap_host, "--mode", "skb")
    assert {queue["mode"] for queue in summary["queues"]} == {"skb"}, log
    assert "zerocopy" not in log
    assert summary["totals"]["unaccounted"] == 0
    assert summary["totals"]["xdp_seen"] == sent
    assert hits == {"delivered": delivered(summary), "copied": sent, "generic": sent}


def test_a_card_that_cannot_is_captured_in_copy_mode_and_the_reason_is_said(machine):
    with Probed(machine) as hits:
        engine = Engine(machine, "--iface", "plain0", "--take-all", "--count", 500)
        sent = generate(machine, "gen1", "--count", 500, "--rate", 2000)
        assert engine.ended() == 0
    summary = engine.summary()
    assert {queue["mode"] for queue in summary["queues"]} == {"copy"}
    assert "zero-copy:" in engine.log()
    assert summary["totals"]["unaccounted"] == 0
    assert summary["totals"]["xdp_seen"] == taken(sent)
    assert hits == {"delivered": 500, "copied": 500, "generic": 0}


def test_zero_copy_that_cannot_be_had_is_refused_when_it_is_forced(machine):
    engine = Engine(machine, "--iface", "plain0", "--take-all", "--mode", "zerocopy", wait_for=None)
    assert engine.ended() == 4
    assert "zero-copy" in engine.log()
