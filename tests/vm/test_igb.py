"""Intel's igb with four hardware queues on NUMA node 1: RSS, a link that goes down at the attach, frames of full length."""

import re

import pytest
from guest import Engine, Probed, generate, hash_records, set_probes, taken
from machine import Nic

QUEUES = 4


@pytest.fixture(scope="module")
def machine(boot):
    machine = boot([Nic("cap0", "igb", hub=0, node=1), Nic("gen0", hub=0)], cpus=4)
    machine.sh("ip link set cap0 up && ip link set gen0 up")
    machine.await_sh("[ $(cat /sys/class/net/cap0/carrier) = 1 ]")
    set_probes(machine)
    return machine


# The hash is linear and its key is new at each boot: of 64 sources one boot in 20 puts none on some queue.
SOURCES = 4096


def capture(machine, *options, count, size=64):
    """One run of the engine on cap0 until `count` frames are taken; (summary, frames sent, hits of the probes, log)."""
    with Probed(machine) as hits:
        engine = Engine(machine, "--iface", "cap0", "--take-all", *options)
        sent = taken(generate(machine, "gen0", "--count", count, "--rate", 2000, "--flows", SOURCES, "--size", size))
        machine.await_quiet("cap0")
        summary = engine.finish()
    return summary, sent, hits, engine.log()


def test_zero_copy_on_every_hardware_queue(machine):
    # More frames than a fill ring holds: a queue whose ring was empty when igb took it up would stall.
    summary, sent, hits, log = capture(machine, count=8000)
    assert [queue["mode"] for queue in summary["queues"]] == ["zerocopy"] * QUEUES, log
    assert all(queue["rx_packets"] > 0 for queue in summary["queues"]), summary["queues"]
    assert summary["totals"]["unaccounted"] == 0
    # "ready" was said with the link up again: nothing that was sent from then on is missing.
    assert summary["totals"]["xdp_seen"] == sent == 8000
    assert hits == {"delivered": sent, "copied": 0, "generic": 0}


def test_long_frames_arrive_in_one_piece(machine):
    # igb splits frames over descriptors of 2 KiB chunks without marking them as continued.
    summary, sent, hits, log = capture(machine, count=500, size=1514)
    assert "bytes a queue" in log and int(re.search(r"frames of (\d+) bytes", log).group(1)) >= 4096
    assert summary["totals"]["rx_packets"] + summary["totals"]["rx_ring_full"] == sent == 500
    assert summary["totals"]["rx_bytes"] == summary["totals"]["rx_packets"] * 1514
    assert hits == {"delivered": sent, "copied": 0, "generic": 0}


def test_copy_and_generic_mode_are_called_so(machine):
    for mode, generic in (("copy", 0), ("skb", 500)):
        summary, sent, hits, log = capture(machine, "--mode", mode, count=500)
        assert {queue["mode"] for queue in summary["queues"]} == {mode}, log
        assert summary["totals"]["unaccounted"] == 0
        assert summary["totals"]["xdp_seen"] == sent == 500
        assert hits["copied"] == 500 and hits["generic"] == generic


def test_workers_and_memory_are_on_the_cards_node(machine):
    engine = Engine(machine, "--iface", "cap0", "--take-all")
    generate(machine, "gen0", "--count", 500, "--rate", 2000, "--flows", 64)
    maps = machine.sh(f"cat /proc/{engine.pid}/numa_maps")
    summary = engine.finish()
    on_node_1 = machine.sh("cat /sys/devices/system/node/node1/cpulist").strip()
    first, last = map(int, on_node_1.split("-"))
    for queue in summary["queues"]:
        assert queue["node"] == 1 and first <= queue["cpu"] <= last, queue
    # Packet memory is what has a policy of its own.
    packets = [line for line in maps.splitlines() if " prefer" in line]
    pages = {node: sum(int(n) for line in packets for n in re.findall(rf"N{node}=(\d+)", line)) for node in (0, 1)}
    assert packets and pages[1] >= QUEUES * 1024 and pages[0] == 0, maps


def test_huge_pages_are_used_once_they_are_reserved_as_the_engine_says(machine):
    engine = Engine(machine, "--iface", "cap0", "--take-all")
    engine.finish()
    assert " in pages of 2 MiB" not in engine.log()
    machine.sh(re.search(r"pages of 2 MiB are reserved by: (.+)", engine.log()).group(1))

    with Probed(machine) as hits:
        engine = Engine(machine, "--iface", "cap0", "--take-all")
        sent = taken(generate(machine, "gen0", "--count", 500, "--rate", 2000, "--flows", 64))
        machine.await_quiet("cap0")
        maps = machine.sh(f"cat /proc/{engine.pid}/numa_maps")
        summary = engine.finish()
    assert " in pages of 2 MiB" in engine.log()
    huge = "\n".join(line for line in maps.splitlines() if " huge " in line)
    assert "N1=" in huge and "N0=" not in huge, maps
    assert {queue["mode"] for queue in summary["queues"]} == {"zerocopy"}
    assert summary["totals"]["xdp_seen"] == sent and summary["totals"]["unaccounted"] == 0
    assert hits == {"delivered": sent, "copied": 0, "generic": 0}


def test_what_the_driver_does_not_know_is_not_made_up(machine):
    def send():
        generate(machine, "gen0", "--count", 32, "--rate", 2000, "--flows", 16)
        machine.await_quiet("cap0")

    # The card has a clock and a hash, but igb hands neither to XDP programs.
    for hints, asked in (("auto", False), ("on", True)):
        records, log = hash_records(machine, ("--iface", "cap0", "--hints", hints), send)
        assert ("asks the driver for" in log) == asked
        assert "VLAN tags are taken out of the frames (rx-vlan-offload)" in log
        assert ("nor do plugins" in log) != asked and ("plugins only where the driver tells them" in log) == asked
        assert len(records) == 32
        assert {(rss_hash, source) for _, rss_hash, source in records} == {(0, "engine")}
