"""What the gate measures: ratios that a short run in memory gives, by commands that write engine-bench/1.

Each round is a process of its own, and the median of what it measures: where memory lies and which traces LuaJIT
compiles differ from process to process, and belong to the spread. What needs two cores at once (two workers, a queue
between two threads) is not here: on a shared machine such a ratio tells who was given the cores; nor what takes wall time (flows/update)."""

import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from common import results

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIMIT_S = 900


class Failed(Exception):
    """One line on what could not be measured."""


@dataclass(frozen=True)
class Source:
    """A command that takes --rounds and --json, and the names of its ratios that are held. `inner_rounds`: of one run,
    whose median is one round here."""
    name: str
    command: tuple
    ratios: tuple
    inner_rounds: int = 1

    def available(self, build):
        """None, or why it cannot run here."""
        program = self.program(build)
        return None if pathlib.Path(program[0]).exists() else f"{program[0]} is not there: ninja -C {build}"

    def program(self, build):
        return [word.replace("BUILD", str(build)).replace("ROOT", str(ROOT)) for word in self.command]

    def run(self, build):
        """One round: {name: (value, better)}."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "results.json"
            command = [*self.program(build), "--rounds", str(self.inner_rounds), "--json", str(path)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT)
            except subprocess.TimeoutExpired:
                raise Failed(f"{self.name}: no result within {LIMIT_S} s") from None
            if done.returncode != 0:
                raise Failed(f"{self.name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
            measured = results.read(path)
        found = {entry["name"]: (entry["median"], entry["better"]) for entry in measured["ratios"]}
        for name in self.ratios:
            if name not in found:
                absent = "; ".join(f"{entry['name']} {entry['reason']}" for entry in measured["missing"])
                raise Failed(f"{self.name}: gives no ratio '{name}'" + (f" (missing: {absent})" if absent else ""))
        return {name: found[name] for name in self.ratios}


MICRO = ("^(decode/mixed/|lua/(count_by_protocol|counter_one_field|topk_source)/(engine|cpp)/64$|json/record/|file/read/|"
         "structure/(counter|topk)/(engine|exact_cpp)/1000$|rings/receive/)")
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
    ), inner_rounds=3),
    # bench/micro starts a process for each of its runs.
    Source("micro", ("ROOT/bench/micro", "--build", "BUILD", "--min-time", "0.03", "--filter", MICRO), (
        "decode/mixed: engine / touch: ns_per_operation",
        "lua/count_by_protocol/64: engine / cpp: ns_per_operation",
        "lua/counter_one_field/64: engine / cpp: ns_per_operation",
        "lua/topk_source/64: engine / cpp: ns_per_operation",
        "structure/counter/1000: engine / exact_cpp: ns_per_operation",
        "structure/topk/1000: engine / exact_cpp: ns_per_operation",
        "json/record: engine / jansson: ns_per_operation",
        "file/read: engine / libpcap: ns_per_operation",
        "rings/receive: engine / libxdp: ns_per_operation",
    )),
)


def measure(sources, build, rounds):
    """{name: (values, better)} over the rounds; the sources in turn, every other round backwards."""
    found = {}
    for number in range(rounds):
        for source in sources if number % 2 == 0 else reversed(sources):
            for name, (value, better) in twice(source, build).items():
                found.setdefault(name, ([], better))[0].append(value)
    return found


def twice(source, build):
    """A run that failed is told and made again: on a busy machine a plugin can meet its deadline, which voids a figure."""
    try:
        return source.run(build)
    except Failed as failure:
        print(f"run again: {failure}", file=sys.stderr)
        return source.run(build)
