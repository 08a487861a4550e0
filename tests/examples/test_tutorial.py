"""plugins/README.md as a reader follows it: its commands are run in their order, its files are those that it shows, and
what it shows of their output is what they print. Commands for a NIC are read and checked (--dump) instead of run."""

import os
import re
import subprocess

import pytest

from runs import ENGINE, ROOT

README = ROOT / "plugins/README.md"
BLOCKS = re.findall(r"(?:`([a-z_.]+\.lua)`:\n\n)?```(\w+)\n(.*?)```", README.read_text(), re.S)


def run(command, folder):
    expected = 0
    if found := re.search(r"  # exits with (\d+)$", command):
        expected = int(found[1])
    command = re.sub(r"\s+#[^'\n]*$", "", command)
    if "--iface" in command:
        command = command.removeprefix("sudo ") + " --dump"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, PATH=f"{ENGINE.parent}:{os.environ['PATH']}"))
    assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def commands(block):
    """One for each line, but for those within quotes."""
    command = ""
    for line in block.splitlines():
        command += line
        if command.count("'") % 2 == 0:
            yield command
            command = ""
        else:
            command += "\n"


def test_the_tutorial_is_what_happens(tmp_path):
    printed, ran, shown = "", 0, 0
    for name, kind, block in BLOCKS:
        if kind == "lua":
            assert name, block
            (tmp_path / name).write_text(block)
        elif kind == "sh":
            printed = "".join(run(command, tmp_path) for command in commands(block))
            ran += len(list(commands(block)))
        else:
            for line in block.splitlines():
                assert line.split("…")[0] in printed, f"{line}\nis not in\n{printed}"
                shown += 1
    assert ran >= 12 and shown >= 4


def test_the_list_of_examples_is_whole():
    folder = ROOT / "examples"
    listed = re.findall(r"^\| \[(\w+)\]\((\w+\.lua)\)", (folder / "README.md").read_text(), re.M)
    assert sorted(file for _, file in listed) == sorted(path.name for path in folder.glob("*.lua"))
    for name, file in listed:
        row = next(line for line in (folder / "README.md").read_text().splitlines() if f"({file})" in line)
        for result in re.findall(r"`(\w+)`", row):
            golden = (ROOT / "tests/examples/golden" / f"{name}.jsonl").read_text()
            assert f'"type":"{result}"' in golden, result
