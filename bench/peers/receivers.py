"""Who receives, live: how each is started, told to end, and what it says it received.

Every receiver runs on core 1 until it is interrupted; all of them are given what makes them fast.
"""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import time

from peers import processes, suricata
from peers.lab import RECEIVER_CORE, SENDER_CORE

COUNT = 'local protocols = engine.counter { name = "protocols", key = "proto" } '
FLOWS = 'local flows = engine.flows { name = "flows", idle = 60, active = 300, max = %d } '
LUA_COUNT = COUNT + "function on_packet(p) protocols:add(p) end"
LUA_FLOWS = COUNT + FLOWS + "function on_packet(p) protocols:add(p) flows:add(p) end"
# Everything that the root program can be asked for, and the traffic passes all of it.
ENFORCED_FILTER = "udp and dst host 198.18.0.1 and port 9"
BLOCKED_ADDRESSES = 100_000
SNAPLEN_BYTES = 2048
START_LIMIT_S = 60


class Receiver:
    """One contestant. A started one is a context that kills its process if it is left by an error."""

    name = ""
    pinned = True  # to core 1 as a whole; else it pins its own threads
    ready_word = "ready"
    says_on_stdout = False
    spins = False  # in "spin" it never has nothing to do: what it holds is emptied when it is interrupted
    quiet_s = 0.1  # how long it may leave packets lying in the kernel
    program = ""   # a peer that may be missing

    def __init__(self, build, work):
        self.build, self.work = build, work
        self.process = None

    def missing(self):
        if not self.program or shutil.which(self.program):
            return None
        return {"name": self.name, "reason": f"{self.program} is not installed", "remedy": "bench/peers/install"}

    def command(self, wait, flows):
        raise NotImplementedError

    def received(self, out, err):
        """A dictionary with "received", and what else the receiver says of the run."""
        raise NotImplementedError

    def start(self, lab, wait, flows):
        self.waits_by, self.log = wait, []
        pin = ["taskset", "-c", RECEIVER_CORE] if self.pinned else []
        words = ["ip", "netns", "exec", lab.cap, *lab.priority, *pin, *self.command(wait, flows)]
        self.process = subprocess.Popen([str(word) for word in words], text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, cwd=self.work)
        return self

    def __enter__(self):
        try:
            self.await_ready()
        except BaseException:  # also one that is told to end meanwhile
            self.__exit__()
            raise
        return self

    def await_ready(self):
        # Byte by byte: what a buffered reader has taken beyond the line would be lost to communicate().
        said = (self.process.stdout if self.says_on_stdout else self.process.stderr).fileno()
        line, deadline = b"", time.monotonic() + START_LIMIT_S
        while select.select([said], [], [], max(0, deadline - time.monotonic()))[0] and (byte := os.read(said, 1)):
            line += byte
            if byte == b"\n":
                self.log.append(line.decode())
                if self.ready_word in self.log[-1]:
                    return
                line = b""
        raise SystemExit(f"{self.name} did not start within {START_LIMIT_S} s: " + "".join(self.log).strip())

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    @property
    def pid(self):
        return self.process.pid

    def worker_cpu(self):
        """CPU time in ns of whoever takes the packets."""
        return processes.process_cpu(self.pid)["total"]

    def await_idle(self):
        if not (self.spins and self.waits_by == "spin"):
            processes.await_idle(self.pid, self.quiet_s)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=120)
        if self.process.returncode != 0:
            raise SystemExit(f"{self.name} ended with {self.process.returncode}: {''.join(self.log)}{err}")
        return self.received(out, "".join(self.log) + err)


class Rxdrop(Receiver):
    name, spins = "rxdrop", True
    buffer_bytes = 4096 * 2048  # bench/rxdrop.c: FRAMES, FRAME_BYTES

    def command(self, wait, flows):
        return [self.build / "bench/rxdrop", "cap0", 0, 86400, wait]

    def received(self, out, err):
        return {"received": json.loads(out)["received"]}


class Engine(Receiver):
    pinned, spins = False, True  # the worker has core 1; the other threads share core 0 with the generator
    frames = 4096
    buffer_bytes = frames * 2048

    def __init__(self, build, work, name, *options):
        super().__init__(build, work)
        self.name, self.options = name, options

    def command(self, wait, flows):
        options = [option % flows if "%d" in str(option) else option for option in self.options]
        return [self.build / "engine/engine", "--iface", "cap0", "--queues", 1, "--frames", self.frames, "--cpus",
                RECEIVER_CORE, "--wait", wait, "--output", "none", "--summary", self.work / "ledger.json", *options]

    def received(self, out, err):
        run = json.loads((self.work / "ledger.json").read_text())
        worker, totals = run["workers"][0], run["totals"]
        return {"received": totals["analysed"], "unaccounted": totals["unaccounted"],
                "empty_polls": worker["empty_polls"] / max(1, worker["polls"])}

    def worker_cpu(self):
        return processes.threads_cpu(self.pid, "worker")


class Coalescing(Engine):
    """The engine woken as seldom as libpcap is, every 10 ms; with a ring for it."""
    spins = False
    frames = 16384
    buffer_bytes = frames * 2048

    def command(self, wait, flows):
        return [*super().command(wait, flows), "--rx-usecs", 10_000]


class Tap(Engine):
    """The engine by AF_PACKET: a ring of the same kind as libpcap's."""
    pinned, spins = True, False
    buffer_bytes = 0  # all of it is mapped from the socket

    def command(self, wait, flows):
        words = super().command("poll", flows)
        at = words.index("--frames")
        return words[:at] + words[at + 2:] + ["--mode", "afpacket"]


class Libpcap(Receiver):
    def __init__(self, build, work, name, ring_mib, immediate=False):
        super().__init__(build, work)
        self.name, self.ring_mib, self.immediate = name, ring_mib, immediate

    buffer_bytes = 0

    def command(self, wait, flows):
        return [self.build / "bench/pcaprx", "cap0", self.ring_mib, *(["immediate"] if self.immediate else [])]

    def received(self, out, err):
        return {"received": json.loads(out)["received"]}


class Tcpdump(Receiver):
    ready_word, program = "listening on", "tcpdump"
    quiet_s = 1.2  # it has the kernel hand over a block that is not full after 1 s
    buffer_bytes = 0
    ring_mib = 64

    def __init__(self, build, work, name, target):
        super().__init__(build, work)
        self.name, self.target = name, target

    def command(self, wait, flows):
        # -Z root: else it becomes another user, who may not write to our folder.
        return ["tcpdump", "-n", "-i", "cap0", "-B", self.ring_mib * 1024, "-s", SNAPLEN_BYTES, "-Z", "root", "-w",
                self.target]

    def received(self, out, err):
        return {"received": int(re.search(r"^(\d+) packets? captured", err, re.M)[1])}


class Suricata(Receiver):
    name, ready_word, program, pinned = "suricata", "Engine started", "suricata", False
    says_on_stdout = True
    buffer_bytes = 0
    ring_packets = 10_000  # of the largest size: 16 MiB, as the engine's tap and libpcap have

    def command(self, wait, flows):
        folder = self.work / "suricata"
        config = suricata.write_config(folder, interface="cap0", core=RECEIVER_CORE, other_core=SENDER_CORE, flows=flows,
                                       ring_packets=self.ring_packets)
        (folder / "eve.json").unlink(missing_ok=True)
        return ["suricata", "-c", config, "-l", folder, "--af-packet=cap0", "--runmode", "workers", "--disable-detection"]

    def received(self, out, err):
        counts = suricata.final_counts(self.work / "suricata")
        return {"received": counts["decoder"]["pkts"], "flows": counts["flow"]["total"]}
