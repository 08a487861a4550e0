"""What the end-to-end tests share: the engine's binary, network namespaces with a veth pair, runs with their ledger.

Every namespace and process is made by the test that uses it, named with this process's id, and removed also on failure.
"""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = pathlib.Path(os.environ.get("ENGINE_BINARY", ROOT / "build/engine/engine"))


def needs_root():
    return pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces, CAP_NET_ADMIN and CAP_BPF")


def sh(*command, check=True, timeout=120, **kwargs):
    return subprocess.run([str(word) for word in command], check=check, capture_output=True, text=True, timeout=timeout,
                          **kwargs)


class Lab:
    """Two namespaces joined by a veth pair: `cap0` is captured in one, `gen0` sends in the other."""

    count = 0

    def __init__(self, queues=1, mtu=1500):
        Lab.count += 1
        tag = f"{os.getpid()}x{Lab.count}"
        self.cap, self.gen = f"ecap{tag}", f"egen{tag}"
        self.queues = queues
        self.children = []
        try:
            sh("ip", "netns", "add", self.cap)
            sh("ip", "netns", "add", self.gen)
            for namespace in (self.cap, self.gen):
                sh(*self.inside(namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"))
                sh("ip", "-n", namespace, "link", "set", "lo", "up")
            self.join(mtu)
        except BaseException:
            self.close()
            raise

    def join(self, mtu=1500):
        """Makes the pair, which goes when either of the two is deleted."""
        n = str(self.queues)
        sh("ip", "-n", self.cap, "link", "add", "cap0", "numrxqueues", n, "numtxqueues", n, "type", "veth",
           "peer", "name", "gen0", "numrxqueues", n, "numtxqueues", n, "netns", self.gen)
        for ns, dev in ((self.gen, "gen0"), (self.cap, "cap0")):
            sh("ip", "-n", ns, "link", "set", dev, "mtu", str(mtu), "up")
            sh(*self.inside(ns, "ethtool", "-K", dev, "gro", "on"))

    def inside(self, namespace, *command):
        return ("ip", "netns", "exec", namespace, *map(str, command))

    def start(self, namespace, *command, **kwargs):
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        child = subprocess.Popen(self.inside(namespace, *command), text=True, **kwargs)
        self.children.append(child)
        return child

    def capture(self, *options, **kwargs):
        """Starts the engine on cap0, its workers on the last core, and returns once it says that it is ready."""
        last = os.cpu_count() - 1
        pin = () if "--cpus" in options else ("--cpus", last)
        child = self.start(self.cap, ENGINE, "--iface", "cap0", *pin, *options, **kwargs)
        child.log = []
        # Byte by byte: what a buffered reader has taken beyond the line would be lost to communicate().
        line = b""
        while byte := os.read(child.stderr.fileno(), 1):
            line += byte
            if byte != b"\n":
                continue
            child.log.append(line.decode())
            if b"ready" in line:
                return child
            line = b""
        raise AssertionError("the engine ended before it was ready: " + "".join(child.log))

    def generate(self, *options, cpu=0, timeout=120):
        """Runs the generator on gen0 to its end and returns its report."""
        done = sh(*self.inside(self.gen, "taskset", "-c", cpu, ENGINE, "gen", "--iface", "gen0", "--json", *options),
                  check=False, timeout=timeout)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        for ns in (self.cap, self.gen):
            sh("ip", "netns", "del", ns, check=False)


def finish(child, sig=signal.SIGINT, timeout=60):
    """Ends a capture by a signal; returns (exit status, stdout lines)."""
    child.send_signal(sig)
    out, err = child.communicate(timeout=timeout)
    child.log.append(err)
    return child.returncode, out.splitlines()


def refused(sent):
    """Frames that the generator's interface reported as not taken by its peer; xdp_xmit_errors are among them."""
    return sent["not_taken"]["tx_dropped"]


def ledger(path):
    return json.loads(pathlib.Path(path).read_text())


def await_condition(condition, timeout=60.0, what="the condition"):
    """Polls a condition that nothing announces (another process's kernel state)."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"{what} did not come true within {timeout} s"
        time.sleep(0.005)


def patient(folder, plugin, **arguments):
    """Options for a plugin that has all the time a busy machine may need: without, it may be cut off there."""
    config = folder / "patient.lua"
    given = "".join(f"{name} = {value}, " for name, value in arguments.items())
    config.write_text(f'plugin "{plugin}" {{ deadline_ms = 60000, args = {{ {given}}} }}')
    return "--config", config


@pytest.fixture
def lab(request):
    made = []

    def make(**kwargs):
        made.append(Lab(**kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def engine():
    assert ENGINE.exists(), f"{ENGINE} is not built"
    return ENGINE
