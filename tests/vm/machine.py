"""A virtual machine: QEMU without KVM, two NUMA nodes, NICs as a test asks for them, scripts run in it from the host.

QEMU, its sockets and its log live in a folder of the test session and are gone with it. The guest's console is kept in
`console.log` there and shown when something fails.
"""

import base64
import dataclasses
import json
import os
import shlex
import socket
import subprocess
import time

from fetch import PARTS

BOOT_TIMEOUT_S = 120
LIBRARIES = ":".join(str(PARTS / "qemu" / folder) for folder in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"))


@dataclasses.dataclass
class Nic:
    """`name` is also the interface's name in the guest. `hub`: NICs of one number see each other's frames. `tap`: an
    interface of the host instead. `node`: the NUMA node below which the card sits."""

    name: str
    model: str = "virtio"
    hub: int | None = None
    tap: str | None = None
    queues: int = 1
    node: int | None = None
    iommu: bool = True
    properties: str = ""  # more of QEMU's, with a comma before each


class GuestFailure(AssertionError):
    """A script in the guest failed, or the guest no longer answers."""


class Machine:
    def __init__(self, folder, image, nics, cpus=2, memory_mib=1024, prefix=(), kernel_options=""):
        self.folder, self.nics = folder, nics
        folder.mkdir()
        self.console = folder / "console.log"
        environment = {**os.environ, "LD_LIBRARY_PATH": LIBRARIES,
                       "QEMU_MODULE_DIR": str(PARTS / "qemu/usr/lib/x86_64-linux-gnu/qemu")}
        command = [*prefix, *self.command(image, cpus, memory_mib, kernel_options)]
        (folder / "command").write_text(shlex.join(command) + "\n")
        self.log = open(folder / "qemu.log", "w")
        self.qemu = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.scripts = self.connect("scripts", BOOT_TIMEOUT_S)
            self.replies = self.scripts.makefile("rb")
            self.answer()
            self.control = self.connect("qmp", BOOT_TIMEOUT_S)
            self.events = self.control.makefile("rb")
            self.events.readline()
            self.qmp("qmp_capabilities")
            self.name_interfaces()
        except BaseException:
            self.close()
            raise

    def command(self, image, cpus, memory_mib, kernel_options):
        share = PARTS / "qemu/usr/share"
        half, cores = memory_mib // 2, cpus // 2
        words = [PARTS / "qemu/usr/bin/qemu-system-x86_64", "-L", share / "qemu", "-L", share / "seabios", "-nodefaults",
                 "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35,smm=off",
                 "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max",
                 "-smp", f"{cpus},sockets=2,cores={cores},threads=1", "-m", f"{memory_mib}M",
                 "-kernel", PARTS / "kernel/vmlinux", "-initrd", image,
                 "-append", "console=ttyS0 quiet panic=-1 mitigations=off audit=0 apparmor=0 tsc=reliable "
                            f"no_timer_check {kernel_options}",
                 "-serial", f"file:{self.console}", "-device", "virtio-serial-pci",
                 "-chardev", f"socket,id=scripts,path={self.folder}/scripts,server=on,wait=off",
                 "-device", "virtserialport,chardev=scripts,name=scripts",
                 "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off"]
        for node in (0, 1):
            words += ["-object", f"memory-backend-ram,id=m{node},size={half}M",
                      "-numa", f"node,nodeid={node},memdev=m{node},cpus={node * cores}-{node * cores + cores - 1}"]
        for index, nic in enumerate(self.nics):
            words += self.nic_words(index, nic)
        return [str(word) for word in words]

    @staticmethod
    def address(index):
        return f"52:54:00:00:00:{16 + index:02x}"

    def nic_words(self, index, nic):
        if nic.tap:
            queues = f",queues={nic.queues}" if nic.queues > 1 else ""
            words = ["-netdev", f"tap,id=net_{nic.name},ifname={nic.tap},script=no,downscript=no,vhost=off{queues}"]
        else:
            words = ["-netdev", f"hubport,id=net_{nic.name},hubid={nic.hub}"]
        # A root port of its own for each: only what sits below one can be unplugged.
        bus = f"port{index}"
        if nic.node is None:
            words += ["-device", f"pcie-root-port,id={bus},chassis={index + 1},slot={index + 1}"]
        else:
            words += ["-device", f"pxb-pcie,id=host{index},bus=pcie.0,bus_nr={64 + 32 * index},numa_node={nic.node}",
                      "-device", f"pcie-root-port,id={bus},bus=host{index},chassis={index + 1},slot={index + 1}"]
        device = f"netdev=net_{nic.name},mac={self.address(index)},id={nic.name},bus={bus},romfile="
        if nic.model == "virtio":
            # Without iommu_platform virtio_net bypasses the DMA API, and zero-copy is refused. XDP wants no merged
            # segments, which a guest that has to have offloads off cannot switch off itself.
            device = (f"virtio-net-pci,{device},iommu_platform={'on' if nic.iommu else 'off'},"
                      "guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off")
            if nic.queues > 1:
                device += f",mq=on,vectors={2 * nic.queues + 2}"
        else:
            device = f"{nic.model},{device}"
        return [*words, "-device", device + nic.properties]

    def connect(self, name, timeout_s):
        end = time.monotonic() + timeout_s
        while True:
            link = socket.socket(socket.AF_UNIX)
            try:
                link.connect(str(self.folder / name))
                link.settimeout(timeout_s)
                return link
            except OSError:
                link.close()
                if self.qemu.poll() is not None or time.monotonic() > end:
                    raise self.failure("QEMU did not start: " + (self.folder / "qemu.log").read_text()[-2000:]) from None
                time.sleep(0.02)  # QEMU makes its sockets some time after it was started

    def answer(self):
        """(exit status, output) of the script that was sent last."""
        try:
            head = self.replies.readline()
            status, length = head.split()
            return int(status), self.replies.read(int(length)).decode(errors="replace")
        except (OSError, ValueError) as error:
            raise self.failure(f"the guest no longer answers ({error})") from error

    def failure(self, text):
        console = self.console.read_text(errors="replace")[-6000:] if self.console.exists() else ""
        return GuestFailure(f"{text}\n--- the guest's console\n{console}")

    def sh(self, script, check=True, timeout_s=60):
        """Runs a script in the guest to its end; returns what it printed."""
        status, out = self.run(script, timeout_s)
        if check and status != 0:
            raise self.failure(f"exit status {status} from: {script}\n{out}")
        return out

    def run(self, script, timeout_s=60):
        self.scripts.settimeout(timeout_s)
        self.scripts.sendall(base64.b64encode(script.encode()) + b"\n")
        return self.answer()

    def await_sh(self, condition, timeout_s=60):
        """Waits until the shell condition holds in the guest."""
        self.sh(f"""for try in $(seq {timeout_s * 10}); do
              {{ {condition}; }} && exit
              sleep 0.1
            done
            exit 1""", timeout_s=timeout_s * 3)

    def await_quiet(self, interface):
        """Waits until nothing more arrives there: what was sent from outside is on its way for a while."""
        self.await_sh(f"""before=$received; received=$(cat /sys/class/net/{interface}/statistics/rx_packets)
              [ "$received" = "$before" ] || {{ sleep 0.3; false; }}""")

    def qmp(self, command, **arguments):
        self.control.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            reply = json.loads(self.events.readline())
            if "error" in reply:
                raise self.failure(f"QEMU: {command} {arguments}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def unplug(self, name):
        """Asks the guest to let go of the card, as pressing the slot's button does; returns once it is out."""
        self.qmp("device_del", id=name)
        while True:
            event = json.loads(self.events.readline())
            if event.get("event") == "DEVICE_DELETED" and event["data"].get("device") == name:
                return

    def plug(self, name):
        """Again, into the port that it was in."""
        index, nic = next((i, nic) for i, nic in enumerate(self.nics) if nic.name == name)
        # The monitor for people takes properties as the command line does.
        refusal = self.qmp("human-monitor-command", **{"command-line": "device_add " + self.nic_words(index, nic)[-1]})
        if refusal:
            raise self.failure(refusal)
        self.await_sh(f"grep -q {self.address(index)} /sys/class/net/*/address")
        self.name_interfaces([name])

    def name_interfaces(self, names=()):
        """Names the guest's interfaces as the test does; the kernel numbers them as it finds them."""
        for index, nic in enumerate(self.nics):
            if names and nic.name not in names:
                continue
            self.sh(f"""for path in /sys/class/net/*; do
                          [ "$(cat $path/address)" = {self.address(index)} ] || continue
                          ip link set "${{path##*/}}" name {nic.name} && exit
                        done
                        exit 1""")

    def kernel_complaints(self):
        """Warnings, oopses and the like in the kernel's log."""
        return self.sh("dmesg | grep -A 12 -E 'WARNING:|BUG:|Oops|Call Trace|blocked for more than' || true")

    def close(self):
        if self.qemu.poll() is None:
            self.qemu.kill()
        self.qemu.wait()
        self.log.close()
