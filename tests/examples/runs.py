"""Runs of the examples over their captures, and the results that are kept as text in golden/.

As a program it writes those anew: look at the difference before you commit it.
"""

import json
import os
import pathlib
import subprocess
import tempfile

from captures import ARGUMENTS, OF_EXAMPLE, make

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = pathlib.Path(os.environ.get("ENGINE_BINARY", ROOT / "build/engine/engine"))
EXAMPLES = ROOT / "examples"
GOLDEN = ROOT / "tests/examples/golden"


def run(*args, check=True, **kwargs):
    done = subprocess.run([ENGINE, *map(str, args)], capture_output=True, text=True, timeout=120, **kwargs)
    assert not check or done.returncode == 0, done.stderr
    return done


def results(example, capture, workers, *more):
    """The JSON lines, as text."""
    plugin = f"{EXAMPLES / example}.lua{ARGUMENTS.get(example, '')}"
    return run("--pcap", capture, "--plugin", plugin, "--workers", workers, "--format", "json", *more).stdout


def merged_over_workers(text):
    """hello counts per worker: the lines of one moment added up."""
    moments = {}
    for line in map(json.loads, text.splitlines()):
        sums = moments.setdefault(line["ts"], dict(line, packets={}))["packets"]
        for proto, packets in line["packets"].items():
            sums[proto] = sums.get(proto, 0) + packets
    return [dict(line, packets=dict(sorted(line["packets"].items()))) for line in moments.values()]


def write_golden():
    with tempfile.TemporaryDirectory() as folder:
        for example, capture in OF_EXAMPLE.items():
            if not (EXAMPLES / f"{example}.lua").exists():
                continue
            text = results(example, make(capture, folder), 1)
            (GOLDEN / f"{example}.jsonl").write_text(text)
            print(f"{example}: {text.count(chr(10))} lines")


if __name__ == "__main__":
    write_golden()
