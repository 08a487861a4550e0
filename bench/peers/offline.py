"""Over a capture file on tmpfs: packets a second from start to end of the process, start-up included, and CPU time.

The file is made by the generator. All must find the same number of packets in it, the filtering ones among themselves.
tshark, which takes two orders of magnitude longer, gets a shorter file of the same kind.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from common import results
from peers import receivers, suricata
from peers.lab import RECEIVER_CORE, SENDER_CORE, sh

HERE = pathlib.Path(__file__).resolve().parent
FILTER = "udp"
MIX, SIZES, FLOWS = "realistic", "imix", 10_000


class Reader:
    """One contestant: its command over a file, and the packets that it says it found (None: it does not say)."""

    def __init__(self, name, command, packets, *, filtered=False, slow=False, program=None):
        self.name, self.command, self.packets = name, command, packets
        self.filtered, self.slow, self.program = filtered, slow, program


def contestants(build, work):
    engine, summary, config = build / "engine/engine", work / "summary.json", work / "suricata"

    def ours(name, lua, *options, filtered=False):
        return Reader(name, lambda file: [engine, "--pcap", file, "--eval", lua, "--output", "none", "--summary", summary,
                                          *options], lambda _: json.loads(summary.read_text())["totals"]["analysed"],
                      filtered=filtered)

    def over_suricata(file):
        written = suricata.write_config(config, interface="lo", core=RECEIVER_CORE, other_core=SENDER_CORE, flows=FLOWS,
                                        ring_packets=receivers.Suricata.ring_packets)
        (config / "eve.json").unlink(missing_ok=True)
        return ["suricata", "-c", written, "-l", config, "--runmode", "single", "--disable-detection", "-r", file]

    return [
        ours("engine_count", receivers.LUA_COUNT),
        ours("engine_flows", receivers.LUA_FLOWS % 1_000_000),
        ours("engine_count_filter", receivers.LUA_COUNT, "--filter", FILTER, filtered=True),
        Reader("tcpdump_filter", lambda file: ["tcpdump", "-n", "-r", file, "-Z", "root", "-w", "/dev/null", FILTER],
               lambda _: None, filtered=True, program="tcpdump"),
        Reader("tshark_tap", lambda file: ["tshark", "-q", "-n", "-r", file, "-X", f"lua_script:{HERE / 'tap.lua'}"],
               lambda out: int(re.search(r"^packets (\d+)$", out, re.M)[1]), slow=True, program="tshark"),
        Reader("suricata", over_suricata, lambda _: suricata.final_counts(config)["decoder"]["pkts"], program="suricata"),
    ]


def timed(reader, file, work):
    """(what it printed, wall seconds, CPU ns): from fork to its end."""
    with open(work / "out", "w+", encoding="utf-8", errors="replace") as out, open(work / "err", "w+", encoding="utf-8",
                                                                                  errors="replace") as err:
        begin = time.monotonic()
        process = subprocess.Popen([str(word) for word in reader.command(file)], stdout=out, stderr=err, cwd=work)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"bench/peers: {reader.name} ended with {process.returncode}: {err.read().strip()}")
        return out.read(), seconds, (usage.ru_utime * 1e9, usage.ru_stime * 1e9)


def make_files(build, work, packets, slow_packets):
    files = {}
    for slow, count in ((False, packets), (True, slow_packets)):
        files[slow] = work / f"{count}.pcap"
        sh(build / "engine/engine", "gen", "--write", files[slow], "--count", count, "--mix", MIX, "--size", SIZES,
           "--flows", FLOWS)
    return files


def run(options):
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="peers-") as folder:
        work = pathlib.Path(folder)
        counts = {False: options.packets, True: max(1, options.packets // options.slow_share)}
        listed = contestants(options.build, work)
        for name in options.only or []:
            if name not in [one.name for one in listed]:
                raise SystemExit(f"bench/peers: contestant '{name}' is not known; there are "
                                 + ", ".join(one.name for one in listed))
        listed = [one for one in listed if not options.only or one.name in options.only]
        missing = [{"name": one.name, "reason": f"{one.program} is not installed", "remedy": "bench/peers/install"}
                   for one in listed if one.program and not shutil.which(one.program)]
        there = [one for one in listed if one.name not in [entry["name"] for entry in missing]]
        options.say(f"writing {counts[False]:,} packets to {work}")
        files = make_files(options.build, work, counts[False], counts[True])
        figures = rounds(there, files, counts, work, options)
        return document(there, figures, missing, counts, files[False].stat().st_size)


def rounds(there, files, counts, work, options):
    figures = {one.name: [] for one in there}
    selected = set()  # by the filter: tcpdump does not say how many it wrote, so it is asked once more
    if any(one.program == "tcpdump" for one in there):
        asked = sh("tcpdump", "-n", "-r", files[False], "-Z", "root", "--count", FILTER).stdout
        selected.add(int(re.search(r"^(\d+) packet", asked, re.M)[1]))
    for index in range(options.rounds):
        for one in there[index % len(there):] + there[:index % len(there)]:
            options.say(f"round {index + 1}: {one.name}")
            out, seconds, (user_ns, kernel_ns) = timed(one, files[one.slow], work)
            found = one.packets(out)
            if one.filtered:
                selected |= {found} - {None}
            if (not one.filtered and found != counts[one.slow]) or len(selected) > 1:
                sys.exit(f"bench/peers: {one.name} found {found} packets of {counts[one.slow]}; by the filter: {selected}")
            packets = counts[one.slow]
            figures[one.name].append({
                "rate_pps": packets / seconds, "cpu_ns_per_packet": (user_ns + kernel_ns) / packets,
                "user_ns_per_packet": user_ns / packets, "kernel_ns_per_packet": kernel_ns / packets})
    return figures


def document(there, figures, missing, counts, file_bytes):
    listed = [{"name": one.name, "params": {"packets": counts[one.slow]}, "notes": [],
               "values": {key: results.series([values[key] for values in figures[one.name]])
                          for key in figures[one.name][0]}} for one in there]
    made = []
    for a, b, value, better, target in (("engine_count_filter", "tcpdump_filter", "rate_pps", "higher", 2),
                                        ("engine_count", "tshark_tap", "rate_pps", "higher", 100),
                                        ("engine_flows", "suricata", "rate_pps", "higher", None),
                                        ("engine_count_filter", "tcpdump_filter", "cpu_ns_per_packet", "lower", None)):
        if figures.get(a) and figures.get(b):
            made.append(results.ratio(f"{a} / {b}: {value}", [one[value] for one in figures[a]],
                                      [one[value] for one in figures[b]], better, target))
    return results.document("offline", listed, made, missing, traffic={
        "mix": MIX, "sizes": SIZES, "flows": FLOWS, "filter": FILTER, "packets": counts[False], "file_bytes": file_bytes})
