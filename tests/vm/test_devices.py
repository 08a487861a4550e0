"""What interfaces are made of and what happens to them: bonds, VLAN devices, a lost link, a card that is pulled out."""

import re
import struct

import pytest
from guest import Engine, Probed, generate, hash_records, set_probes, taken
from machine import Nic


@pytest.fixture(scope="module")
def machine(boot):
    nics = [Nic("member0", hub=0), Nic("member1", hub=1), Nic("cap0", hub=0, properties=",rss=on,hash=on"),
            Nic("gen0", hub=0), Nic("gen1", hub=1)]
    machine = boot(nics, cpus=2)
    machine.sh("for name in cap0 gen0 gen1; do ip link set $name up; done")
    set_probes(machine)
    return machine


def send(machine, count, *options, interface="gen0"):
    return taken(generate(machine, interface, "--count", count, "--rate", 2000, "--flows", 16, *options))


def test_a_bond_is_captured_by_its_members(machine):
    machine.sh("""echo balance-rr >/sys/class/net/bond0/bonding/mode
        ip link set bond0 up
        for name in member0 member1; do ip link set $name down; ip link set $name master bond0; done""")
    machine.await_sh("[ $(cat /sys/class/net/member0/carrier /sys/class/net/member1/carrier | tr -d '\\n') = 11 ]")
    with Probed(machine) as hits:
        engine = Engine(machine, "--iface", "bond0", "--take-all")
        first, second = send(machine, 500), send(machine, 300, interface="gen1")
        machine.await_quiet("member0")
        machine.await_quiet("member1")
        summary = engine.finish()
    assert "member of bond0" in engine.log()
    assert [(queue["interface"], queue["mode"], queue["xdp_seen"]) for queue in summary["queues"]] == [
        ("member0", "zerocopy", first), ("member1", "zerocopy", second)]
    assert summary["totals"]["unaccounted"] == 0
    assert hits == {"delivered": first + second, "copied": 0, "generic": 0}


def test_a_vlan_device_is_captured_by_its_parent(machine):
    machine.sh("ip link add link cap0 name office type vlan id 7 && ip link set office up")
    engine = Engine(machine, "--iface", "office", "--take-all", "--filter", "vlan 7")
    ours, others = send(machine, 500, "--vlan", 7), send(machine, 300, "--vlan", 8)
    machine.await_quiet("cap0")
    summary = engine.finish()
    assert "captures cap0" in engine.log() and "office" in engine.log()
    queue, = summary["queues"]
    assert (queue["interface"], queue["mode"]) == ("cap0", "zerocopy")
    assert (queue["xdp_seen"], queue["passed"], queue["redirected"]) == (ours + others, others, ours)
    assert queue["unaccounted"] == 0
    machine.sh("ip link del office")


def toeplitz(key, data):
    """The hash that NICs spread packets by (Virtio 1.2, 5.1.6.4.3; Microsoft's RSS specification)."""
    window = int.from_bytes(key, "big")
    bits = len(key) * 8
    result = 0
    for index in range(len(data) * 8):
        if data[index // 8] & 0x80 >> index % 8:
            result ^= window >> bits - 32 - index & 0xFFFFFFFF
    return result


def test_a_hash_is_the_packets_or_none(machine):
    def send_and_wait():
        send(machine, 32)
        machine.await_quiet("cap0")

    machine.sh("ethtool -K cap0 rxhash on")
    records, log = hash_records(machine, ("--iface", "cap0"), send_and_wait)
    assert "asks the driver for hash" in log
    shown = re.search(r"(?:[0-9a-f]{2}:){39}[0-9a-f]{2}", machine.sh("ethtool -x cap0")).group()
    key = bytes.fromhex(shown.replace(":", ""))
    expected = {}
    for flow in range(16):
        ports = struct.pack("!HH", 1024 + flow, 9)
        expected[1024 + flow] = toeplitz(key, bytes((10, 0, 0, 1 + flow, 198, 18, 0, 1)) + ports)
    assert len(records) == 32
    # Where the device reports none, virtio_net answers "done", a value that means nothing, and the type "none".
    for port, rss_hash, source in records:
        assert rss_hash in (0, expected[port]) and source == "engine", (port, rss_hash, source)


def test_a_lost_link_costs_only_what_was_sent_meanwhile(machine):
    engine = Engine(machine, "--iface", "cap0", "--take-all")
    sent = send(machine, 500)
    machine.await_quiet("cap0")
    machine.qmp("set_link", name="cap0", up=False)
    assert engine.says("warn: interface cap0 ")
    machine.qmp("set_link", name="cap0", up=True)
    machine.await_sh("[ $(cat /sys/class/net/cap0/carrier) = 1 ]")
    sent += send(machine, 500)
    machine.await_quiet("cap0")
    summary = engine.finish()
    assert summary["totals"]["xdp_seen"] == sent == 1000
    assert summary["totals"]["unaccounted"] == 0
    assert {queue["mode"] for queue in summary["queues"]} == {"zerocopy"}


def test_a_card_is_pulled_out_under_traffic_and_put_back(machine):
    engine = Engine(machine, "--iface", "cap0", "--take-all")
    machine.sh("""engine gen --iface gen0 --method tx --rate 500 --duration 600 >/dev/null 2>&1 &
        echo $! >/run/gen.pid""")
    machine.await_sh("[ $(cat /sys/class/net/cap0/statistics/rx_packets) -gt 100 ]")
    machine.unplug("cap0")
    machine.sh("kill $(cat /run/gen.pid)")
    assert engine.says("interface cap0 is gone"), engine.log()
    # net/core/sock.c: the third column is the number of sockets that are there.
    machine.await_sh("[ $(awk '$1 == \"XDP\" { print $3 }' /proc/net/protocols) = 0 ]")
    machine.plug("cap0")
    machine.sh("ip link set cap0 up")
    assert engine.says("the capture of cap0 goes on"), engine.log()
    with Probed(machine) as hits:
        sent = send(machine, 500)
        machine.await_quiet("cap0")
    summary = engine.finish()
    assert hits == {"delivered": sent, "copied": 0, "generic": 0}, "in zero-copy as before"
    assert summary["totals"]["rx_packets"] > sent
    assert summary["totals"]["unaccounted"] == 0
    machine.await_sh("[ $(awk '$1 == \"XDP\" { print $3 }' /proc/net/protocols) = 0 ]")
