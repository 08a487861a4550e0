#!/usr/bin/python3
"""Live on veth, side by side in one run: the engine with a Lua plugin against a minimal C rxdrop and libpcap.

Makes two namespaces joined by a veth pair with one queue, pins the generator to core 0 and the receiver to core 1, and
alternates the receivers so that a noisy machine is noisy for all of them. A rate counts only if the receiver got every
frame that was sent and the peer refused none; where full speed loses frames, the rate is lowered until it does not.

usage: bench/compare.py [--tap] [--rounds N] [--packets N] [--build DIR] [--yardstick DIR] [--json FILE]
  --tap            compares --mode afpacket with libpcap, which are both AF_PACKET, instead
  --yardstick DIR  also runs DIR/rxref, another minimal receiver, as a check of ours
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLUGIN = """
local protocols = engine.counter { name = "protocols", key = "proto" }
local talkers = engine.topk { name = "talkers", key = "src", k = 20 }
function on_packet(p) protocols:add(p) talkers:add(p) end
"""
FRAME_BYTES = 64
SOURCES = 1024
# Everything that the root program can be asked for, and the traffic passes all of it.
FILTER = "udp and dst host 198.18.0.1 and port 9"
BLOCKED = 100_000


def sh(*command, **kwargs):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True, timeout=120, **kwargs)


class Lab:
    def __init__(self):
        self.cap, self.gen = f"bcap{os.getpid()}", f"bgen{os.getpid()}"

    def __enter__(self):
        sh("ip", "netns", "add", self.cap)
        sh("ip", "netns", "add", self.gen)
        sh("ip", "-n", self.cap, "link", "add", "cap0", "numrxqueues", 1, "numtxqueues", 1, "type", "veth",
           "peer", "name", "gen0", "numrxqueues", 1, "numtxqueues", 1, "netns", self.gen)
        for namespace, device in ((self.cap, "cap0"), (self.gen, "gen0")):
            sh("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            sh("ip", "-n", namespace, "link", "set", device, "up")
            sh("ip", "netns", "exec", namespace, "ethtool", "-K", device, "gro", "on")
        return self

    def __exit__(self, *_):
        for namespace in (self.cap, self.gen):
            subprocess.run(["ip", "netns", "del", namespace], check=False)


class Receivers:
    """Each returns (started process, function that turns its output into a dictionary of figures)."""

    def __init__(self, build, work, yardstick):
        self.build, self.work, self.yardstick = build, work, yardstick

    def start(self, lab, name, wait, seconds, packets):
        ledger, blocked = self.work / "ledger.json", self.work / "blocked"
        if not blocked.exists():
            blocked.write_text("".join(f"172.{16 + i // 65536}.{i // 256 % 256}.{i % 256}\n" for i in range(BLOCKED)))
        commands = {
            "rxdrop": [self.build / "bench/rxdrop", "cap0", 0, seconds, wait, packets],
            "engine": [self.build / "engine/engine", "--iface", "cap0", "--queues", 1, "--cpus", 1, "--wait", wait,
                       "--eval", PLUGIN, "--output", "none", "--duration", seconds, "--count", packets, "--summary", ledger],
            "engine_bare": [self.build / "engine/engine", "--iface", "cap0", "--queues", 1, "--cpus", 1, "--wait", wait,
                            "--output", "none", "--duration", seconds, "--count", packets, "--summary", ledger],
            # The same ring as ours, and a large one as capture tools have it.
            "libpcap_16": [self.build / "bench/pcaprx", "cap0", seconds, packets, 16],
            "libpcap": [self.build / "bench/pcaprx", "cap0", seconds, packets, 64],
        }
        commands["engine_enforcing"] = [*commands["engine_bare"], "--filter", FILTER, "--block", blocked,
                                        "--rate-limit", 1_000_000_000]
        commands["engine_tap"] = [*commands["engine"], "--mode", "afpacket"]
        commands["engine_tap_bare"] = [*commands["engine_bare"], "--mode", "afpacket"]
        if self.yardstick:
            commands["yardstick"] = [self.yardstick / "rxref", "cap0", 1, seconds, wait]
        # Core 1 is the receiver's. Where the engine's worker spins there, its other threads share core 0 with the
        # generator, as they would.
        pin = [] if name.startswith("engine") and "tap" not in name else ["taskset", "-c", 1]
        child = subprocess.Popen([str(c) for c in ["ip", "netns", "exec", lab.cap, *pin, *commands[name]]], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 cwd=self.yardstick if name == "yardstick" else None)
        for line in child.stderr:
            if "ready" in line:
                return child
        raise SystemExit(f"{name} did not start")

    def figures(self, name, child):
        out, _ = child.communicate(timeout=120)
        if name.startswith("engine"):
            run = json.loads((self.work / "ledger.json").read_text())
            worker, totals = run["workers"][0], run["totals"]
            return {"received": totals["analysed"], "unaccounted": totals["unaccounted"],
                    "cpu_ns_per_packet": worker["cpu_ns"] / max(1, totals["analysed"]),
                    "empty_polls": worker["empty_polls"] / max(1, worker["polls"])}
        if name == "yardstick":
            words = dict(word.split("=") for word in out.split())
            return {"received": int(words["rx"]), "cpu_ns_per_packet": float(words["cpu"]) * 1e9 / int(words["rx"])}
        return json.loads(out)


def measure(lab, receivers, build, name, wait, packets, rate):
    """One run: (packets a second, figures), or no rate if a frame was lost."""
    slow = "tap" in name or "pcap" in name  # every packet becomes a socket buffer on the sender's core
    seconds = packets / (rate or (3e5 if slow else 3e6)) + 1.5
    child = receivers.start(lab, name, wait, round(seconds, 1), packets)
    pace = ["--rate", int(rate)] if rate else []
    sent = json.loads(sh("ip", "netns", "exec", lab.gen, "taskset", "-c", 0, build / "engine/engine", "gen", "--iface",
                         "gen0", "--method", "live", "--count", packets, "--size", FRAME_BYTES, "--flows", SOURCES,
                         "--json", *pace).stdout)
    figures = receivers.figures(name, child)
    figures["lost"] = sent["sent"] - figures["received"]
    figures["pps"] = sent["sent"] / sent["seconds"]
    return figures


def loss_free(run, name, wait, packets):
    """The best rate without loss: full speed if one of three runs loses nothing, else the highest of a falling series.

    Three runs, because on a shared machine a core can be taken away for longer than any ring holds frames."""
    rate = None
    for attempt in range(10):
        figures = run(name, wait, packets, rate)
        if figures["lost"] == 0:
            return figures
        if attempt >= 2:
            rate = figures["pps"] * 0.93 if rate is None else rate * 0.93
    return figures | {"pps": 0}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tap", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--yardstick", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("compare.py: needs root for network namespaces and AF_XDP")
    work = pathlib.Path(sh("mktemp", "-d").stdout.strip())
    receivers = Receivers(options.build, work, options.yardstick)
    if options.tap:
        return compare_taps(options, receivers)
    names = ["rxdrop", "engine", "engine_bare", "engine_enforcing"] + (["yardstick"] if options.yardstick else [])
    rates = {name: [] for name in names + ["libpcap"]}
    poll = {"rxdrop": [], "engine": []}
    spin = {"rxdrop": [], "engine": [], "engine_bare": []}
    with Lab() as lab:
        def run(name, wait, packets, rate):
            return measure(lab, receivers, options.build, name, wait, packets, rate)

        for _ in range(options.rounds):
            for name in names:
                figures = loss_free(run, name, "spin", options.packets)
                rates[name].append(figures["pps"])
                if name in spin:
                    spin[name].append(figures["empty_polls"])
            rates["libpcap"].append(loss_free(run, "libpcap", "poll", options.packets // 5)["pps"])
            for name in poll:
                poll[name].append(run(name, "poll", options.packets // 5, 1_000_000)["cpu_ns_per_packet"])
    report(options, rates, poll, spin)


TAP_RATE_PPS = 200_000


def compare_taps(options, receivers):
    """Both by AF_PACKET's TPACKET_V3, on the same traffic: rates, and at a fixed rate the receiver's CPU time."""
    names = ["engine_tap", "libpcap_16", "engine_tap_bare", "libpcap"]
    rates, cpu = {name: [] for name in names}, {name: [] for name in names}
    packets = options.packets // 5
    with Lab() as lab:
        def run(name, wait, packets, rate):
            return measure(lab, receivers, options.build, name, wait, packets, rate)

        for _ in range(options.rounds):
            for name in names:
                rates[name].append(loss_free(run, name, "auto", packets)["pps"])
            for name in names:
                cpu[name].append(run(name, "poll", packets // 5, TAP_RATE_PPS)["cpu_ns_per_packet"])
    median = statistics.median
    best = max((rates["libpcap"], rates["libpcap_16"]), key=median)
    write(options, {
        **conditions("veth (AF_PACKET)"),
        "loss_free_mpps": {name: round(median(values) / 1e6, 3) for name, values in rates.items()},
        "ratio_to_the_better_libpcap": {name: round(median([a / b for a, b in zip(rates[name], best) if b]), 3)
                                        for name in names if "engine" in name},
        f"poll_cpu_ns_per_packet_at_{TAP_RATE_PPS}_pps": {name: round(median(values), 1) for name, values in cpu.items()},
    })


def conditions(way):
    return {
        "command": "bench/compare.py " + " ".join(sys.argv[1:]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "traffic": f"{way}, UDP, {FRAME_BYTES}-byte frames, {SOURCES:,} flows of as many addresses, one queue",
    }


def write(options, result):
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


def report(options, rates, poll, spin):
    median = statistics.median
    write(options, {
        **conditions("veth (copy mode)"),
        "loss_free_mpps": {name: round(median(values) / 1e6, 3) for name, values in rates.items()},
        "ratio_to_rxdrop": {name: round(median([a / b for a, b in zip(values, rates["rxdrop"]) if b]), 3)
                            for name, values in rates.items()},
        "poll_cpu_ns_per_packet_at_1_mpps": {name: round(median(values), 1) for name, values in poll.items()},
        "poll_cpu_ratio": round(median([a / b for a, b in zip(poll["engine"], poll["rxdrop"])]), 3),
        "share_of_empty_polls_at_that_rate_spinning": {name: round(median(values), 4) for name, values in spin.items()},
    })


if __name__ == "__main__":
    main()
