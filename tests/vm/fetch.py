"""Fetches what the virtual machines are made of: a kernel with its modules, QEMU, busybox; all of it Debian packages.

Nothing is installed and /boot is not touched: the packages come through apt, with lists of its own in the cache folder,
from the Debian archive that this machine's apt is configured for (other suites of it too: a stable release's kernel and
QEMU are too old), and are unpacked there. Needs no root. Done once; later calls cost nothing.

usage: tests/vm/fetch.py      exit status 0: it is there; 4: cannot be had here; 1: should have been had, but failed
"""

import fcntl
import lzma
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "engine-vm"
PARTS = CACHE / "parts"
RECIPE = "1"  # another one fetches again
# igb's QEMU model came with 8.0, zero-copy in virtio_net with Linux 6.13 and in igb with 6.14.
QEMU_SUITES = ("bookworm", "bookworm-backports")
QEMU_PACKAGES = ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios", "ipxe-qemu", "busybox-static")
KERNEL_SUITES = ("trixie-backports",)
KERNEL_AT_LEAST, KERNEL_PREFERRED = (6, 14), (6, 18)
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MODULES = ("virtio_net", "igb", "8021q", "bonding", "veth", "macvlan")


class CannotHere(Exception):
    """This machine has no way to the packages; not a mistake of the set-up."""


def run(*command, **kwargs):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **kwargs)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command[:3]))}…: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def archive():
    """The Debian archive that apt is configured for, and the key that signs it (empty: apt's own trusted keys)."""
    targets = run("apt-get", "indextargets", "Created-By: Packages", "Component: main")
    for target in targets.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in target.splitlines() if ": " in line)
        if fields.get("Release") == QEMU_SUITES[0]:
            return fields["Repo-URI"], fields.get("Signed-By", "")
    raise CannotHere(f"apt has no source for Debian's suite {QEMU_SUITES[0]}")


class Apt:
    """apt with lists and a download folder of its own; what is installed it reads from the machine's dpkg."""

    def __init__(self, folder, suites):
        uri, key = archive()
        for part in ("state/lists/partial", "cache/archives/partial", "sources"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self.folder = folder
        signed = f"Signed-By: {key}\n" if key else ""
        (folder / "sources/debian.sources").write_text(
            f"Types: deb\nURIs: {uri}\nSuites: {' '.join(suites)}\nComponents: main\nArchitectures: amd64\n{signed}")
        settings = {"Dir::State": folder / "state", "Dir::State::status": "/var/lib/dpkg/status",
                    "Dir::Cache": folder / "cache", "Dir::Etc::sourcelist": "/dev/null",
                    "Dir::Etc::sourceparts": folder / "sources", "Debug::NoLocking": 1, "Acquire::Retries": 1,
                    "Acquire::http::Timeout": 20, "Acquire::Languages": "none",
                    "APT::Sandbox::User": "root" if os.geteuid() == 0 else ""}
        (folder / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
        self.environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C"}
        try:
            run("apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update", env=self.environment)
        except RuntimeError as error:
            first = next((line for line in str(error).splitlines() if "E: " in line), str(error))
            raise CannotHere(f"the packages' archive is out of reach: {first.split('E: ')[-1][:200]}") from error

    def names(self, prefix):
        return run("apt-cache", "pkgnames", prefix, env=self.environment).split()

    def download(self, *packages):
        run("apt-get", "download", "-q", *packages, env=self.environment, cwd=self.folder / "cache/archives")

    def download_with_libraries(self, suite, *packages):
        """Also what they depend on, as far as it is not installed here."""
        run("apt-get", "install", "-q", "--yes", "--download-only", "--reinstall", "--no-install-recommends", "-t", suite,
            *packages, env=self.environment)

    def unpack(self, folder):
        folder.mkdir(parents=True)
        for package in sorted((self.folder / "cache/archives").glob("*.deb")):
            run("dpkg-deb", "-x", package, folder)


def newest_kernel(names):
    """The newest of the preferred series (it has long support), else the newest at all."""
    found = []
    for name in names:
        if match := re.fullmatch(r"linux-image-((\d+)\.(\d+)\.(\d+)\+deb\d+-amd64)", name):
            found.append((tuple(map(int, match.groups()[1:])), match.group(1)))
    found = [entry for entry in found if entry[0] >= KERNEL_AT_LEAST]
    if not found:
        raise RuntimeError(f"no kernel package from {'.'.join(map(str, KERNEL_AT_LEAST))} on")
    return max(found, key=lambda entry: (entry[0][:2] == KERNEL_PREFERRED, entry[0]))[1]


def uncompressed(bzimage):
    """The ELF file inside a bzImage. QEMU enters it directly; unpacking it in an emulated machine takes seconds."""
    at = bzimage.find(ZSTD_MAGIC)
    while at >= 0:
        # What follows the compressed part makes zstd complain: only what comes out counts.
        out = subprocess.run(("zstd", "-dcq"), input=bzimage[at:], capture_output=True, check=False).stdout
        if out.startswith(b"\x7fELF"):
            return out
        at = bzimage.find(ZSTD_MAGIC, at + 1)
    raise RuntimeError("the kernel's image holds no part that zstd can unpack")


def take_kernel(root, to):
    """The kernel, and the modules that are wanted, in the order in which they are to be loaded."""
    image = next(root.glob("boot/vmlinuz-*"))
    to.mkdir()
    (to / "vmlinux").write_bytes(uncompressed(image.read_bytes()))
    (to / "release").write_text(image.name.removeprefix("vmlinuz-"))
    tree = {path.name.split(".")[0].replace("-", "_"): path for path in root.rglob("kernel/**/*.ko*")}
    order = []

    def take(name):
        if name in order or name not in tree:  # not in the tree: built in
            return
        packed = tree[name].read_bytes()
        module = lzma.decompress(packed) if tree[name].suffix == ".xz" else packed
        for needed in re.search(rb"\0depends=([^\0]*)\0", module).group(1).decode().split(","):
            take(needed.replace("-", "_"))
        (to / f"{name}.ko").write_bytes(module)
        order.append(name)

    for name in MODULES:
        take(name)
    (to / "modules").write_text("".join(f"{name}\n" for name in order))


def fetch(work):
    tools = Apt(work / "apt-qemu", QEMU_SUITES)
    tools.download_with_libraries(QEMU_SUITES[-1], *QEMU_PACKAGES)
    tools.unpack(work / "parts/qemu")
    packages = Apt(work / "apt-kernel", KERNEL_SUITES)
    names = packages.names("linux-")
    release = newest_kernel(names)
    # From 6.19 on the image is a package that only depends on these two.
    packages.download(*(f"linux-{part}-{release}" for part in ("image", "binary", "modules")
                        if f"linux-{part}-{release}" in names))
    packages.unpack(work / "kernel")
    take_kernel(work / "kernel", work / "parts/kernel")
    (work / "parts/recipe").write_text(RECIPE)


def is_there():
    try:
        return (PARTS / "recipe").read_text() == RECIPE
    except FileNotFoundError:
        return False


def main():
    if is_there():
        return 0
    if platform.machine() != "x86_64" or not shutil.which("apt-get"):
        raise CannotHere("the machines are x86-64 and come from Debian packages; this is another system")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_there():
            return 0
        work = CACHE / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(PARTS, ignore_errors=True)
        try:
            fetch(work)
            (work / "parts").rename(PARTS)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotHere as reason:
        print(f"no virtual machine here: {reason}", file=sys.stderr)
        sys.exit(4)
    except RuntimeError as error:
        print(f"tests/vm/fetch.py: {error}", file=sys.stderr)
        sys.exit(1)
