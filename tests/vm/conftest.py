"""What the tests in virtual machines share: one image, machines that last for a test file, the engine in the guest.

The parts come from fetch.py. Without them the tests are skipped with its reason; with ENGINE_REQUIRE_VM=1 (CI) they fail
if the parts should have been had.
"""

import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from image import write_image  # noqa: E402
from machine import Machine  # noqa: E402

ENGINE = pathlib.Path(os.environ.get("ENGINE_BINARY", HERE.parents[1] / "build/engine/engine"))
CANNOT_HERE = 4


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    fetched = subprocess.run((sys.executable, HERE / "fetch.py"), capture_output=True, text=True, check=False)
    reason = fetched.stderr.strip()
    if fetched.returncode != 0 and fetched.returncode != CANNOT_HERE and os.environ.get("ENGINE_REQUIRE_VM") == "1":
        pytest.fail(reason)
    if fetched.returncode != 0:
        pytest.skip(reason)
    assert ENGINE.exists(), f"{ENGINE} is not built"
    path = tmp_path_factory.mktemp("vm") / "image"
    write_image(path, ENGINE)
    return path


@pytest.fixture(scope="module")
def boot(image, tmp_path_factory):
    """Boots machines that go with the test file. Their kernels must have had nothing to complain about."""
    made = []

    def make(nics, **kwargs):
        made.append(Machine(tmp_path_factory.mktemp("machine") / "vm", image, nics, **kwargs))
        return made[-1]

    yield make
    try:
        assert [machine.kernel_complaints() for machine in made] == [""] * len(made)
    finally:
        for machine in made:
            machine.close()


class TapHost:
    """A namespace of this machine with an interface whose other end is a NIC of a guest: a sender outside of it."""

    count = 0

    def __init__(self, queues):
        TapHost.count += 1
        self.namespace = f"evm{os.getpid()}x{TapHost.count}"
        self.queues = queues
        self.prefix = ("ip", "netns", "exec", self.namespace)
        self.sh("ip", "netns", "add", self.namespace)
        try:
            self.sh("ip", "-n", self.namespace, "tuntap", "add", "dev", "gen0", "mode", "tap", "multi_queue")
            self.sh(*self.prefix, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            self.sh("ip", "-n", self.namespace, "link", "set", "gen0", "txqueuelen", "10000", "up")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def sh(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def send(self, count, flows, per_second):
        """Frames that went out to the guest."""
        words = (sys.executable, HERE / "send_flows.py", "gen0", count, flows, per_second)
        return int(self.sh(*self.prefix, *map(str, words)))

    def close(self):
        subprocess.run(("ip", "netns", "del", self.namespace), check=False, capture_output=True)


@pytest.fixture(scope="module")
def tap_host():
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("needs root and /dev/net/tun: a NIC with several queues in the guest is a tap interface here")
    host = TapHost(queues=4)
    yield host
    host.close()
