"""What the gate measures: ratios that a short run in memory gives, by commands that write engine-bench/1.

Each round is a process of its own, and the median of what it measures: where memory lies and which traces LuaJIT
compiles differ from process to process, and belong to the spread. What needs two cores at once (two workers, a queue
between two threads) is not here: on a shared machine such a ratio tells who was given the cores."""

import json
import pathlib
import subprocess
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIMIT_S = 600
# Within a process, against what else goes on.
INNER_ROUNDS = 3


class Failed(Exception):
    """One line on what could not be measured."""


@dataclass(frozen=True)
class Source:
    """A command that takes --rounds and --json, and the names of its ratios that are held."""
    name: str
    command: tuple
    ratios: tuple

    def available(self, build):
        """None, or why it cannot run here."""
        program = self.program(build)
        return None if pathlib.Path(program[0]).exists() else f"{program[0]} is not there: ninja -C {build}"

    def program(self, build):
        return [word.replace("BUILD", str(build)).replace("ROOT", str(ROOT)) for word in self.command]

    def run(self, build):
        """One round: {name: (value, better)}."""
        command = [*self.program(build), "--rounds", str(INNER_ROUNDS), "--json", "-"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name}: no result within {LIMIT_S} s") from None
        if done.returncode != 0:
            raise Failed(f"{self.name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        found = {entry["name"]: (entry["median"], entry["better"]) for entry in json.loads(done.stdout)["ratios"]}
        for name in self.ratios:
            if name not in found:
                raise Failed(f"{self.name}: gives no ratio '{name}' any more; see bench/gating/measure.py")
        return {name: found[name] for name in self.ratios}


SOURCES = (
    Source("pipeline", ("BUILD/engine/engine", "bench", "pipeline"), (
        "decode / touch: ns_per_packet",
        "decode_lua_count / touch: ns_per_packet",
        "decode_lua_record / touch: ns_per_packet",
        "rewrite_decode_lua_flows_10000 / rewrite_touch_10000: ns_per_packet",
        "analyzer_dns_names / touch: ns_per_packet",
        "analyzer_flows / touch: ns_per_packet",
        "analyzer_port_scan / touch: ns_per_packet",
        "analyzer_tcp_rtt / touch: ns_per_packet",
        "analyzer_top_talkers / touch: ns_per_packet",
        "worker_1_queue / touch: ns_per_packet",
        "worker_8_queues / worker_1_queue: ns_per_packet",
    )),
)


def measure(sources, build, rounds):
    """{name: (values, better)} over the rounds; the sources in turn, every other round backwards."""
    found = {}
    for number in range(rounds):
        for source in sources if number % 2 == 0 else reversed(sources):
            for name, (value, better) in source.run(build).items():
                found.setdefault(name, ([], better))[0].append(value)
    return found
