"""Two namespaces joined by a veth pair with one queue, and the generator that sends through it.

Traffic goes from `gen0` to `cap0`. The generator is pinned to core 0, where veth does the receive work too (in softirq);
whoever receives has core 1.
"""

import json
import os
import subprocess

SENDER_CORE, RECEIVER_CORE = 0, 1


def sh(*command, timeout=300):
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise SystemExit(f"bench/peers: {' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done


class Lab:
    """The namespaces carry this process's id in their names and go at the end, also if something failed."""

    def __init__(self):
        self.cap, self.gen = f"bcap{os.getpid()}", f"bgen{os.getpid()}"
        self.priority = []  # words before the command of whoever sends or receives

    def __enter__(self):
        try:
            sh("ip", "netns", "add", self.cap)
            sh("ip", "netns", "add", self.gen)
            sh("ip", "-n", self.cap, "link", "add", "cap0", "numrxqueues", 1, "numtxqueues", 1, "type", "veth",
               "peer", "name", "gen0", "numrxqueues", 1, "numtxqueues", 1, "netns", self.gen)
            for namespace, device in ((self.cap, "cap0"), (self.gen, "gen0")):
                sh("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
                sh("ip", "-n", namespace, "link", "set", device, "up")
                # veth has NAPI, which XDP frames need, only with an XDP program or GRO (drivers/net/veth.c).
                sh("ip", "netns", "exec", namespace, "ethtool", "-K", device, "gro", "on")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for namespace in (self.cap, self.gen):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)

    def send(self, engine, traffic, *, packets=0, seconds=0, rate_pps=0):
        """Sends `packets`, or for so many seconds, as fast as possible or at a rate. Returns the generator's report."""
        limits = ["--count", packets] if packets else ["--duration", seconds]
        pace = ["--rate", int(rate_pps)] if rate_pps else []
        report = sh("ip", "netns", "exec", self.gen, *self.priority, "taskset", "-c", SENDER_CORE, engine, "gen",
                    "--iface", "gen0", "--method", "live", "--size", traffic["frame_bytes"], "--flows", traffic["flows"],
                    "--json", *limits, *pace)
        return json.loads(report.stdout)
