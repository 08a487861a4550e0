"""What a value's name says about its unit (rate_pps, latency_p99_9_ns), and numbers as people read them."""

import re
from dataclasses import dataclass

# Steps of a unit, small to large; a column takes the largest that its largest value reaches.
PACKETS = ((1, "pps"), (1e3, "kpps"), (1e6, "Mpps"))
TIME = ((1, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s"))
BYTES = ((1, "B"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB"))
BYTE_RATE = ((1, "B/s"), (1e3, "kB/s"), (1e6, "MB/s"), (1e9, "GB/s"))
# Longest ending first.
ENDINGS = (("bytes_per_s", BYTE_RATE), ("pps", PACKETS), ("bytes", BYTES), ("ns", TIME),
           ("percent", ((1, "%"),)), ("seconds", ((1, "s"),)), ("s", ((1, "s"),)))
# A cost stays in ns: its readers compare it over tables and runs.
COST = re.compile(r"(?:(?P<what>.*)_)?(?P<unit>ns|cycles)_per_(?P<each>packet|operation|record|line|frame|call)")
WORDS = {"cpu": "CPU", "rss": "RSS", "pss": "PSS", "xdp": "XDP"}


@dataclass(frozen=True)
class Unit:
    """A column: its label, what values are divided by, and the unit that this leaves."""
    label: str
    divisor: float
    name: str

    def head(self):
        return f"{self.label}, {self.name}" if self.name else self.label

    def text(self, value):
        counted = not self.name and value == int(value)
        return count(value) if counted else number(value / self.divisor)

    def spread(self, series):
        return span(series, self.text)


def span(series, text):
    """The range of the rounds, or nothing if there was no spread to see."""
    low, high = text(series["min"]), text(series["max"])
    return f"{low}–{high}" if low != high else ""


def unit_of(name, values):
    """The unit of a column of this name that shows these values."""
    if cost := COST.fullmatch(name):
        return Unit(f"{spelled(cost['what'] or '')} per {cost['each']}".strip(), 1, cost["unit"])
    for ending, steps in ENDINGS:
        if name == ending or name.endswith("_" + ending):
            largest = max((abs(value) for value in values), default=0)
            divisor, unit = max((step for step in steps if step[0] <= largest), default=steps[0])
            return Unit(spelled(name[: -len(ending)].strip("_")) or {"seconds": "time"}.get(ending, ending), divisor, unit)
    return Unit(spelled(name), 1, "")


def spelled(name):
    """latency_p99_9 -> p99.9, cpu -> CPU, single_frames -> single frames."""
    percentile = re.fullmatch(r"(?:latency_)?p(\d+)(?:_(\d+))?", name)
    if percentile:
        return f"p{percentile[1]}" + (f".{percentile[2]}" if percentile[2] else "")
    return " ".join(WORDS.get(word, word) for word in name.replace("latency_", "").split("_"))


def number(value):
    """Three digits that matter, also where they are zeros, so that a column reads as one."""
    if abs(value) >= 100 or value == 0:
        return f"{value:,.0f}"
    if 0.9995 <= abs(value) < 1:
        return f"{value:.5f}"  # a share: what is missing to the whole matters
    return f"{value:#.3g}" if abs(value) >= 1e-4 else f"{value:.1e}"


def count(value):
    """A setting, or something that was counted: as it is."""
    return f"{value:,}" if value != int(value) else f"{int(value):,}"


def higher_is_better(name):
    """Rates; everything else that is measured here is a cost."""
    return name.endswith(("pps", "bytes_per_s", "per_second"))
