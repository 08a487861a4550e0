"""What happens to interfaces while they are captured: it is told, survived where that can be, and every frame that the
sender sent is in the ledger or is one that the sender's own side did not get rid of."""

import json
import os
import pathlib
import signal
import threading
import time

import pytest

from conftest import ENGINE, await_condition, finish, ledger, needs_root, refused, sh

pytestmark = needs_root()
BACK = ["link_down", "interface_removed", "interface_returned", "link_up", "capture_resumed"]


class Watched:
    """A capture whose lines are read as they come."""

    def __init__(self, net, *options):
        self.summary = pathlib.Path(f"/tmp/{net.cap}.json")
        self.child = net.capture("--format", "json", "--summary", self.summary, *options)
        self.pid = self.child.pid
        self.events, self.log = [], list(self.child.log)
        self.readers = [threading.Thread(target=self.read_events), threading.Thread(target=self.read_log)]
        for reader in self.readers:
            reader.start()

    def read_events(self):
        for line in self.child.stdout:
            line = json.loads(line)
            if line["type"] == "event":
                self.events.append(line)

    def read_log(self):
        for line in self.child.stderr:
            self.log.append(line)

    def names(self):
        return [event["event"] for event in self.events]

    def await_events(self, name, count=1, timeout=20):
        await_condition(lambda: self.names().count(name) >= count, timeout, f"{count} of {name} in {self.names()[-9:]}")
        return [event for event in self.events if event["event"] == name]

    def await_log(self, text, timeout=20):
        await_condition(lambda: any(text in line for line in list(self.log)), timeout, f"{text!r} in the log")

    def end(self, sig=signal.SIGINT):
        """Its exit status and its ledger, in which everything is accounted for."""
        self.child.send_signal(sig)
        return self.wait()

    def wait(self, timeout=30):
        status = self.child.wait(timeout=timeout)
        for reader in self.readers:
            reader.join()
        run = ledger(self.summary)
        self.summary.unlink()
        for queue in run["queues"]:
            assert queue["unaccounted"] == 0, queue
        return status, run

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_kib(self):
        status = dict(line.split(":", 1) for line in open(f"/proc/{self.pid}/status") if ":" in line)
        return int(status["VmRSS"].split()[0])


@pytest.fixture
def watched():
    made = []

    def make(*arguments):
        made.append(Watched(*arguments))
        return made[-1]

    yield make
    for one in made:
        print("".join(one.log[-40:]))  # shown where a test fails
        if one.child.poll() is None:
            one.child.kill()
        for reader in one.readers:
            reader.join()
        one.child.log = one.log
        one.summary.unlink(missing_ok=True)


def taken(sent):
    return sent["sent"] - refused(sent)


def take_program_off(net):
    shown = json.loads(sh("ip", "-n", net.cap, "-j", "-d", "link", "show", "dev", "cap0").stdout)[0]
    links = json.loads(sh("bpftool", "-j", "link", "show").stdout)
    ours = next(link["id"] for link in links if link.get("prog_id") == shown["xdp"]["prog"]["id"])
    sh("bpftool", "link", "detach", "id", ours)


def received(net):
    shown = json.loads(sh("ip", "-n", net.cap, "-j", "-s", "link", "show", "dev", "cap0").stdout)[0]
    return shown["stats64"]["rx"]["packets"]


def change_mtu(net):
    current = json.loads(sh("ip", "-n", net.cap, "-j", "link", "show", "dev", "cap0").stdout)[0]["mtu"]
    sh("ip", "-n", net.cap, "link", "set", "cap0", "mtu", current + 1500)


def move_there_and_back(net):
    sh("ip", "-n", net.cap, "link", "set", "cap0", "netns", net.gen)
    sh("ip", "-n", net.gen, "link", "set", "cap0", "netns", net.cap)
    sh("ip", "-n", net.cap, "link", "set", "cap0", "up")


def remove_and_make(net):
    sh("ip", "-n", net.cap, "link", "del", "cap0")
    net.join()


def test_an_administrator_flaps_the_link_100_times(lab, watched):
    net = lab()
    capture = watched(net, "--queues", 1)
    sent = 0
    for round in range(100):
        sh("ip", "-n", net.cap, "link", "set", "cap0", "down")
        sh("ip", "-n", net.cap, "link", "set", "cap0", "up")
        if round % 10 == 9:
            sent += taken(net.generate("--count", 100, "--rate", 20000))
    capture.await_events("link_up", 100)
    status, run = capture.end()
    assert status == 0
    assert capture.names() == ["link_down", "link_up"] * 100
    assert {event["cause"] for event in capture.events if event["event"] == "link_down"} == {"administrator"}
    assert run["totals"]["xdp_seen"] == run["totals"]["analysed"] == sent == 1000


def test_the_peer_takes_the_carrier_away_100_times(lab, watched):
    net = lab()
    capture = watched(net, "--queues", 1)
    for _ in range(100):  # the kernel tells of the carrier when it gets round to it, and not of every change
        sh("ip", "-n", net.gen, "link", "set", "gen0", "down")
        sh("ip", "-n", net.gen, "link", "set", "gen0", "up")
    sh("ip", "-n", net.gen, "link", "set", "gen0", "down")
    await_condition(lambda: capture.names()[-1:] == ["link_down"], what="the last loss of the carrier")
    assert capture.events[-1]["cause"] == "carrier"
    sh("ip", "-n", net.gen, "link", "set", "gen0", "up")
    await_condition(lambda: capture.names()[-1:] == ["link_up"], what="the carrier")
    sent = net.generate("--count", 1000, "--rate", 20000)
    status, run = capture.end()
    assert status == 0
    assert capture.names() == ["link_down", "link_up"] * (len(capture.events) // 2)
    assert run["totals"]["xdp_seen"] == sent["sent"] == 1000


def test_an_interface_is_removed_and_comes_back_100_times(lab, watched):
    net = lab(queues=2)
    capture = watched(net, "--queues", 2)
    sent, before, times = 0, None, []
    for round in range(100):
        if round % 20 == 0:  # each time on an interface of which nothing is known yet
            sent += taken(net.generate("--queues", 2, "--count", 500, "--rate", 20000))
        sh("ip", "-n", net.cap, "link", "del", "cap0")
        capture.await_events("interface_removed", round + 1)
        net.join()
        begin = time.monotonic()
        capture.await_events("capture_resumed", round + 1)
        times.append(time.monotonic() - begin)
        if round == 10:
            before = capture.descriptors(), capture.resident_kib()
    sent += taken(net.generate("--queues", 2, "--count", 500, "--rate", 20000))
    assert capture.descriptors() == before[0]
    assert capture.resident_kib() <= before[1] + 1024
    status, run = capture.end()
    assert status == 0
    assert capture.names() == BACK * 100
    assert run["totals"]["xdp_seen"] == run["totals"]["analysed"] == sent == 3000
    print(f"captured again {max(times) * 1e3:.0f} ms at most after it was up, {sorted(times)[50] * 1e3:.0f} ms typically")


@pytest.mark.parametrize("mode", ["copy", "skb", "afpacket"])
def test_every_way_in_comes_back(lab, watched, mode):
    net = lab()
    capture = watched(net, "--mode", mode, "--queues", 2 if mode == "afpacket" else 1)
    sent = 0
    for round in range(3):
        sent += taken(net.generate("--count", 300, "--rate", 20000, "--flows", 20))
        sh("ip", "-n", net.cap, "link", "set", "cap0", "down")
        sh("ip", "-n", net.cap, "link", "set", "cap0", "up")
        sent += taken(net.generate("--count", 300, "--rate", 20000, "--flows", 20))
        sh("ip", "-n", net.cap, "link", "del", "cap0")
        capture.await_events("interface_removed", round + 1)
        net.join()
        capture.await_events("capture_resumed", round + 1)
    sent += taken(net.generate("--count", 300, "--rate", 20000, "--flows", 20))
    status, run = capture.end()
    assert status == 0
    assert capture.names() == (["link_down", "link_up"] + BACK) * 3
    assert {queue["mode"] for queue in run["queues"]} == {mode}
    assert run["totals"]["xdp_seen"] == run["totals"]["analysed"] == sent == 2100


@pytest.mark.parametrize("mode", ["copy", "afpacket"])
def test_an_interface_goes_to_another_namespace_and_comes_back(lab, watched, mode):
    net = lab()
    capture = watched(net, "--queues", 1, "--mode", mode)
    before = net.generate("--count", 300, "--rate", 20000)
    sh("ip", "-n", net.cap, "link", "set", "cap0", "netns", net.gen)
    capture.await_events("interface_moved")
    await_condition(lambda: "xdp" not in sh("ip", "-n", net.gen, "-d", "link", "show", "dev", "cap0").stdout,
                    what="our program's leaving it alone there")
    sh("ip", "-n", net.gen, "link", "set", "cap0", "netns", net.cap)
    capture.await_events("interface_returned")
    sh("ip", "-n", net.cap, "link", "set", "cap0", "up")
    capture.await_events("capture_resumed")
    after = net.generate("--count", 300, "--rate", 20000)
    status, run = capture.end()
    assert status == 0
    assert capture.names() == [name.replace("removed", "moved") for name in BACK]
    assert run["totals"]["xdp_seen"] == run["totals"]["analysed"] == taken(before) + taken(after) == 600


def test_frames_of_a_larger_mtu_get_larger_chunks(lab, watched):
    net = lab()
    capture = watched(net, "--queues", 1)
    for namespace, device in ((net.cap, "cap0"), (net.gen, "gen0")):
        sh("ip", "-n", namespace, "link", "set", device, "mtu", 3000)
    capture.await_events("capture_resumed")
    sent = net.generate("--count", 500, "--rate", 20000, "--size", 3000)
    status, run = capture.end()
    assert status == 0
    assert {"event": "mtu_changed", "interface": "cap0", "mtu": 3000}.items() <= capture.events[0].items()
    assert run["totals"]["analysed"] == taken(sent) == 500
    assert run["totals"]["rx_bytes"] == 500 * 3000


def test_frames_of_a_jumbo_mtu_take_several_chunks_and_the_counts_go_on(lab, watched):
    net = lab()
    capture = watched(net, "--queues", 1, "--mode", "copy")
    before = net.generate("--count", 500, "--rate", 20000)
    for namespace, device in ((net.gen, "gen0"), (net.cap, "cap0")):
        sh("ip", "-n", namespace, "link", "set", device, "mtu", 3000)
    capture.await_events("capture_resumed")
    sh("ip", "-n", net.cap, "link", "set", "cap0", "mtu", 9000)
    capture.await_events("capture_resumed", 2)
    sh("ip", "-n", net.gen, "link", "set", "gen0", "mtu", 9000)
    send = ("from scapy.all import Ether, IP, UDP, Raw, sendp; "
            "sendp(Ether(dst='02:00:00:00:00:01')/IP(dst='192.0.2.9')/UDP()/Raw(b'x' * 8900), iface='gen0', count=100, "
            "verbose=False)")
    sh(*net.inside(net.gen, "/usr/bin/python3", "-c", send))
    status, run = capture.end()
    assert status == 0
    assert run["totals"]["xdp_seen"] == run["totals"]["analysed"] == taken(before) + 100
    assert run["totals"]["rx_bytes"] == before["bytes"] + 100 * (8900 + 42)


def test_a_smaller_mtu_changes_nothing(lab, watched):
    net = lab()
    capture = watched(net, "--queues", 1)
    sh("ip", "-n", net.cap, "link", "set", "cap0", "mtu", 1400)
    capture.await_events("mtu_changed")
    capture.end()
    assert capture.names() == ["mtu_changed"]


def set_queues(net, count):
    for namespace, device in ((net.cap, "cap0"), (net.gen, "gen0")):
        sh(*net.inside(namespace, "ethtool", "-L", device, "rx", count, "tx", count))


def test_queues_that_come_up_are_told_and_counted(lab, watched):
    net = lab(queues=4)
    set_queues(net, 2)
    capture = watched(net, "--queues", 2)
    set_queues(net, 4)
    capture.await_events("capture_resumed")
    assert capture.events[0]["event"] == "queues_changed" and capture.events[0]["queues"] == 4
    sent = net.generate("--queues", 4, "--count", 4000, "--rate", 20000)
    status, run = capture.end()
    assert status == 0
    assert run["totals"]["no_socket"] == sum(queue["sent"] for queue in sent["queues"][2:]) > 0
    assert run["totals"]["xdp_seen"] == taken(sent) == 4000


@pytest.mark.parametrize("workers", [1, 2])
def test_all_queues_are_all_that_there_are_by_now(lab, watched, workers):
    net = lab(queues=4)
    set_queues(net, 2)
    capture = watched(net, "--queues", "all", "--workers", workers, *(("--cpus", "0,1") if workers == 2 else ()))
    before = net.generate("--queues", 2, "--count", 1000, "--rate", 20000)
    set_queues(net, 4)
    capture.await_events("capture_resumed")
    more = net.generate("--queues", 4, "--count", 4000, "--rate", 20000)
    sh("ip", "-n", net.cap, "link", "del", "cap0")
    capture.await_events("interface_removed")
    net.queues = 1
    net.join()
    capture.await_events("capture_resumed", 2)
    fewer = net.generate("--count", 500, "--rate", 20000)
    status, run = capture.end()
    assert status == 0
    assert sorted(queue["queue"] for queue in run["queues"]) == [0, 1, 2, 3]
    assert all(queue["mode"] == "copy" and queue["cpu"] >= 0 for queue in run["queues"])
    assert run["totals"]["xdp_seen"] == run["totals"]["analysed"] == taken(before) + taken(more) + taken(fewer) == 5500


def test_our_program_is_taken_off_by_force(lab, watched):
    net = lab()
    capture = watched(net, "--queues", 1)
    take_program_off(net)
    capture.await_events("capture_resumed")
    sent = net.generate("--count", 300, "--rate", 20000)
    status, run = capture.end()
    assert status == 0
    assert capture.names() == ["program_detached", "capture_resumed"]
    assert run["totals"]["xdp_seen"] == taken(sent) == 300


def test_another_program_takes_the_place_of_ours_and_leaves_again(lab, watched):
    net = lab()
    capture = watched(net, "--queues", 1)
    other = net.capture("--queues", 1, "--replace", "--output", "none")
    capture.await_events("program_attached")
    capture.await_log("another XDP program has taken the place of ours")
    finish(other)
    capture.await_events("capture_resumed")
    sent = net.generate("--count", 300, "--rate", 20000)
    status, run = capture.end()
    assert status == 0
    assert capture.names() == ["program_attached", "program_detached", "program_detached", "capture_resumed"]
    theirs, ours, again, _ = capture.events
    assert theirs["program"] == again["program"] != ours["program"]
    assert run["totals"]["xdp_seen"] == taken(sent) == 300


@pytest.mark.parametrize("mode,happens,times", [
    ("copy", take_program_off, 5), ("copy", change_mtu, 2), ("copy", move_there_and_back, 3), ("copy", remove_and_make, 3),
    ("afpacket", move_there_and_back, 3), ("afpacket", remove_and_make, 3)])
def test_whatever_happens_under_full_rate_every_frame_is_accounted_for(lab, watched, mode, happens, times):
    net = lab()
    capture = watched(net, "--queues", 1, "--mode", mode)
    for round in range(times):
        # Not by live frames: their program's run holds the device until it has ended (net/bpf/test_run.c).
        sender = net.start(net.gen, "taskset", "-c", 0, ENGINE, "gen", "--iface", "gen0", "--method", "tx",
                           "--duration", 60)
        await_condition(lambda: received(net) > 1000, what="the flood")
        happens(net)
        capture.await_events("capture_resumed", round + 1)
        sender.kill()  # if it has not ended by itself, without a carrier
        sender.communicate()
    status, run = capture.end()
    assert status == 0
    assert run["totals"]["xdp_seen"] > 1000
    if mode == "copy" and run["totals"]["redirect_errors"] is None:
        pytest.skip("needs CAP_PERFMON and the tracepoint xdp_redirect_err")


def test_the_run_waits_without_any_interface_until_it_is_told_to_end(lab, watched):
    net = lab()
    capture = watched(net, "--queues", 1, "--duration", 1)
    sh("ip", "-n", net.cap, "link", "del", "cap0")
    status, _ = capture.wait()
    assert status == 0
    assert any("no interface is captured" in line for line in capture.log)
    assert capture.names() == ["link_down", "interface_removed"]


def test_with_no_reload_a_removal_ends_the_run_with_1(lab, watched):
    net = lab()
    capture = watched(net, "--queues", 1, "--no-reload")
    sh("ip", "-n", net.cap, "link", "del", "cap0")
    status, _ = capture.wait()
    assert status == 1
    assert any("cap0 is gone" in line for line in capture.log)
    assert any("--no-reload has given up" in line for line in capture.log)


def test_the_other_interface_goes_on(lab, watched):
    net = lab()
    sh("ip", "-n", net.cap, "link", "add", "cap1", "type", "veth", "peer", "name", "gen1", "netns", net.gen)
    sh("ip", "-n", net.gen, "link", "set", "gen1", "up")
    sh("ip", "-n", net.cap, "link", "set", "cap1", "up")
    capture = watched(net, "--iface", "cap1")
    sh("ip", "-n", net.cap, "link", "del", "cap1")
    capture.await_events("interface_removed")
    assert {event["interface"] for event in capture.events} == {"cap1"}
    sent = net.generate("--count", 300, "--rate", 20000)
    status, run = capture.end()
    assert status == 0
    assert run["totals"]["analysed"] == sent["sent"] == 300
