"""bench/README.md names commands that are there, with options that they have."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ENGINE = ROOT / "build/engine/engine"
GUIDE = (ROOT / "bench/README.md").read_text(encoding="utf-8")
# Of the guide's shell blocks, a command a line, without comments.
BLOCKS = [block.replace("\\\n", " ") for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.S)]
LINES = [line.split("#")[0] for block in BLOCKS for line in block.splitlines()]


def words(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout


def test_the_programs_are_there():
    named = set(re.findall(r"(?<![\w/])bench/[a-z_]+(?:\.py|\.json)?(?:/[a-z_]+)?(?![\w/])", GUIDE))
    assert named and not [name for name in named if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()]


@pytest.mark.skipif(not ENGINE.exists(), reason="build/engine/engine is not built")
def test_the_engine_has_these_commands_and_options():
    commands = set(re.findall(r"engine bench ([a-z]+)", GUIDE))
    listed = words([ENGINE, "bench", "--help"])
    assert commands and not [name for name in commands if not re.search(rf"^  {name} ", listed, re.M)]
    checked = 0
    for line in LINES:
        called = re.search(r"(?:^|[\s/])engine((?: bench [a-z]+| gen)?) (--.*)", line)
        if not called:
            continue
        known = words([ENGINE, *called[1].split(), "--help"])
        for option in re.findall(r"--[a-z-]+", called[2]):
            assert option in known, f"{line}: {option}"
            checked += 1
    assert checked > 10
