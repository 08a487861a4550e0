"""The guest's initial file system, made anew for each run of the tests: busybox, modules, the engine under test, tools."""

import os
import pathlib
import re
import shutil
import subprocess

from fetch import PARTS

HERE = pathlib.Path(__file__).parent
TOOLS = ("ip", "ethtool")


def libraries(program):
    """What the dynamic loader needs for the program, as it finds it on this machine."""
    listed = subprocess.run(("ldd", program), capture_output=True, text=True, check=True).stdout
    assert "not found" not in listed, listed
    return re.findall(r"(/\S+) \(0x", listed)


def archive_entry(inode, name, mode, data=b""):
    """One file in cpio's "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def contents(engine):
    """Path in the guest -> file here."""
    files = {"init": HERE / "guest/init", "bin/busybox": PARTS / "qemu/bin/busybox", "usr/bin/engine": engine,
             "modules/order": PARTS / "kernel/modules"}
    for module in (PARTS / "kernel").glob("*.ko"):
        files[f"modules/{module.name}"] = module
    for tool in TOOLS:
        files[f"usr/bin/{tool}"] = pathlib.Path(shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"))
    for program in (engine, *(files[f"usr/bin/{tool}"] for tool in TOOLS)):
        for library in libraries(program):
            files[library.lstrip("/")] = pathlib.Path(library)
    return files


def write_image(path, engine):
    files = contents(engine)
    folders = sorted({str(parent) for name in files for parent in pathlib.PurePosixPath(name).parents} - {"."})
    with open(path, "wb") as out:
        inode = 1
        for name in folders:
            out.write(archive_entry(inode, name, 0o040755))
            inode += 1
        for name, source in files.items():
            out.write(archive_entry(inode, name, 0o100755, source.read_bytes()))
            inode += 1
        out.write(archive_entry(0, "TRAILER!!!", 0))
