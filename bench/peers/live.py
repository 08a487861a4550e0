"""Live on veth: every contestant in every round, one round's order being the last one's, rotated."""

import pathlib
import statistics
import tempfile

from common import results
from peers import measure, receivers
from peers.lab import Lab

FRAME_BYTES = 64
# More than any of them holds.
OVERFILL_PACKETS = 600_000


def contestants(build, work, only):
    """All of them, and those that are missing."""
    blocked = work / "blocked"
    blocked.write_text("".join(f"172.{16 + i // 65536}.{i // 256 % 256}.{i % 256}\n"
                               for i in range(receivers.BLOCKED_ADDRESSES)))
    engine, libpcap, tcpdump = receivers.Engine, receivers.Libpcap, receivers.Tcpdump
    every = [
        receivers.Rxdrop(build, work),
        engine(build, work, "engine"),
        engine(build, work, "engine_count", "--eval", receivers.LUA_COUNT),
        engine(build, work, "engine_flows", "--eval", receivers.LUA_FLOWS),
        receivers.Coalescing(build, work, "engine_flows_coalescing", "--eval", receivers.LUA_FLOWS),
        engine(build, work, "engine_enforcing", "--filter", receivers.ENFORCED_FILTER, "--block", blocked,
               "--rate-limit", 1_000_000_000),
        receivers.Tap(build, work, "engine_tap"),
        receivers.Tap(build, work, "engine_tap_flows", "--eval", receivers.LUA_FLOWS),
        libpcap(build, work, "libpcap_16MiB", 16),
        libpcap(build, work, "libpcap_64MiB", 64),
        libpcap(build, work, "libpcap_immediate", 64, immediate=True),
        tcpdump(build, work, "tcpdump_null", "/dev/null"),
        tcpdump(build, work, "tcpdump_file", work / "written.pcap"),
        receivers.Suricata(build, work),
    ]
    names = [one.name for one in every]
    for name in only or []:
        if name not in names:
            raise SystemExit(f"bench/peers: contestant '{name}' is not known; there are {', '.join(names)}")
    wanted = [one for one in every if not only or one.name in only]
    missing = [one.missing() for one in wanted if one.missing()]
    return [one for one in wanted if not one.missing()], missing


def run(options):
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="peers-") as folder, Lab() as lab:
        there, missing = contestants(options.build, pathlib.Path(folder), options.only)
        bench = measure.Bench(lab, options.build / "engine/engine", {"frame_bytes": FRAME_BYTES, "flows": options.flows},
                              options.seconds)
        figures = rounds(bench, there, options)
    return document(options, figures, missing)


def rounds(bench, there, options):
    """{(name, what): [values of each round]}; None where a round has none."""
    figures = {}

    def keep(name, what, values):
        figures.setdefault((name, what), []).append(values)

    for index in range(options.rounds):
        order = there[index % len(there):] + there[:index % len(there)]
        bench.lab.priority = ["chrt", "--rr", 1] if options.realtime else []
        if "rate" in options.what:
            for one in order:
                options.say(f"round {index + 1}: rate of {one.name}")
                # Those that own their core spin for it, except in real time, where spinning is held back (sched(7)).
                wait = "spin" if one.spins and not options.realtime else "poll"
                keep(one.name, "rate", rate_values(measure.loss_free(bench, one, wait)))
        if "cpu" in options.what:
            for rate_pps in options.cpu_rates:
                keep("nobody", rate_pps, measure.transport_cost(bench, rate_pps))
                for one in order:
                    options.say(f"round {index + 1}: CPU time of {one.name} at {rate_pps} packets/s")
                    keep(one.name, rate_pps, measure.cost(bench, one, rate_pps))
        if "memory" in options.what:
            for one in order:
                options.say(f"round {index + 1}: memory of {one.name}")
                keep(one.name, "memory", measure.memory(bench, one, OVERFILL_PACKETS))
    return figures


def rate_values(best):
    if best is None:
        return None
    ledger = {"unaccounted": best["unaccounted"]} if "unaccounted" in best else {}
    return {"rate_pps": best["pps"], "lost": best["lost"], **ledger}


def document(options, figures, missing):
    listed, skipped = [], list(missing)
    for (name, what), values in sorted(figures.items(), key=lambda item: str(item[0][1])):
        params = {"rate_pps": what} if isinstance(what, int) else {}
        if None in values:
            at = f"{what} packets/s" if isinstance(what, int) else "every rate that was tried"
            skipped.append({"name": f"{name}: {'CPU time' if isinstance(what, int) else what}",
                            "reason": f"lost packets at {at}", "remedy": "lower --cpu-rates, or a quieter machine"})
            continue
        listed.append({"name": name, "params": params, "notes": [],
                       "values": {key: results.series([one[key] for one in values]) for key in values[0]}})
    traffic = {"frame_bytes": FRAME_BYTES, "flows": options.flows, "kind": "udp4", "seconds": options.seconds,
               "realtime": options.realtime}
    return results.document("peers", listed, ratios(figures, options), skipped, traffic=traffic,
                            interface={"name": "cap0", "driver": "veth", "mode": "copy", "queues": 1, "mtu_bytes": 1500})


# (a, b, what, value, better, target): the targets are the product's own.
COMPARED = [
    ("engine", "rxdrop", "rate", "rate_pps", "higher", None),
    ("engine_count", "rxdrop", "rate", "rate_pps", "higher", None),
    ("engine_flows", "rxdrop", "rate", "rate_pps", "higher", 0.97),
    ("engine_enforcing", "rxdrop", "rate", "rate_pps", "higher", None),
    ("engine_flows", "libpcap", "rate", "rate_pps", "higher", 3.5),
    ("engine_tap", "libpcap", "rate", "rate_pps", "higher", None),
    ("engine_flows", "suricata", "rate", "rate_pps", "higher", 4),
    # What the two above can come to at most on veth, whose sender does the kernel's work for every receiver.
    ("rxdrop", "libpcap", "rate", "rate_pps", "higher", None),
    ("rxdrop", "suricata", "rate", "rate_pps", "higher", None),
    ("engine", "rxdrop", "cpu", "cpu_ns_per_packet", "lower", None),
    ("engine_count", "rxdrop", "cpu", "cpu_ns_per_packet", "lower", None),
    ("engine_flows", "rxdrop", "cpu", "worker_ns_per_packet", "lower", 1.3),
    ("engine_flows", "rxdrop", "cpu", "cpu_ns_per_packet", "lower", None),
    ("engine_flows", "libpcap", "cpu", "cpu_and_softirq_ns_per_packet", "lower", None),
    ("engine_flows", "suricata", "cpu", "cpu_and_softirq_ns_per_packet", "lower", None),
    # libpcap is woken every 10 ms; so is this one, the others by each burst of the sender's.
    ("engine_flows_coalescing", "libpcap", "cpu", "cpu_and_softirq_ns_per_packet", "lower", 0.5),
    # At the same latency: one wake-up for each burst on both sides.
    ("engine_flows", "libpcap_immediate", "rate", "rate_pps", "higher", None),
    ("engine_flows", "libpcap_immediate", "cpu", "cpu_and_softirq_ns_per_packet", "lower", None),
    ("engine_flows_coalescing", "suricata", "cpu", "cpu_and_softirq_ns_per_packet", "lower", None),
    # Most of which are wake-ups, one for each of the sender's bursts: what the least receiver pays for them.
    ("rxdrop", "libpcap", "cpu", "cpu_and_softirq_ns_per_packet", "lower", None),
]


def best_libpcap(figures):
    """Peers get their best: of libpcap's settings the one with the highest rate."""
    known = {name: values for (name, what), values in figures.items()
             if name.startswith("libpcap") and what == "rate" and None not in values}
    rate = {name: statistics.median(one["rate_pps"] for one in values) for name, values in known.items()}
    if rate:
        return max(rate, key=rate.get)
    return next((name for name, _ in sorted(figures, key=str) if name.startswith("libpcap")), "libpcap")


def ratios(figures, options):
    made, best = [], best_libpcap(figures)

    def values(name, what):
        found = figures.get((best if name == "libpcap" else name, what), [None])
        return None if None in found else found

    for a, b, kind, value, better, target in COMPARED:
        for what in options.cpu_rates if kind == "cpu" else [kind]:
            if (ours := values(a, what)) and (theirs := values(b, what)):
                at = f" at {what}/s" if kind == "cpu" else ""
                made.append(results.ratio(f"{a} / {best if b == 'libpcap' else b}: {value}{at}",
                                          [one[value] for one in ours], [one[value] for one in theirs], better, target))
    for b, target in (("libpcap", 0.4), ("suricata", 0.125)):
        if (ours := values("engine_flows", "memory")) and (theirs := values(b, "memory")):
            made += memory_ratios(best if b == "libpcap" else b, ours, theirs, target)
    return made


def memory_ratios(name, ours, theirs, target):
    """As they are; and with the peer's buffers cut down to what holds as many packets as ours: as long at any rate."""
    same_time = [one["other_bytes"] + one["buffer_bytes_per_packet"] * mine["buffer_packets"]
                 for mine, one in zip(ours, theirs)]
    ours_whole = [one["memory_bytes"] for one in ours]
    return [
        results.ratio(f"engine_flows / {name}: memory_bytes for the same buffered time", ours_whole, same_time, "lower",
                      target),
        results.ratio(f"engine_flows / {name}: memory_bytes as set up", ours_whole,
                      [one["memory_bytes"] for one in theirs], "lower"),
        results.ratio(f"engine_flows / {name}: other_bytes", [one["other_bytes"] for one in ours],
                      [one["other_bytes"] for one in theirs], "lower"),
    ]
