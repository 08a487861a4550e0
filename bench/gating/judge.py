"""Whether a ratio has become worse than its baseline allows. Pure functions of numbers.

A ratio may be worse than the baseline's median by its tolerance: three standard deviations of the baseline's rounds, by
their median absolute deviation so that one disturbed round counts for little, and never less than LEAST: two quiet runs
of the same program on a shared machine differ by some per cent, and a gate that cries wolf is switched off. A processor
of another kind has other ratios; there the tolerance is ELSEWHERE times as wide."""

import statistics
from dataclasses import dataclass

LEAST = 0.15
MOST = 0.5
DEVIATIONS = 3
# Of a normal distribution: standard deviation / median absolute deviation.
NORMAL = 1.4826
ELSEWHERE = 2


@dataclass(frozen=True)
class Verdict:
    name: str
    before: float | None
    now: float | None
    allowed: float | None  # the value at which it begins to fail
    state: str  # held, better, worse, new, gone
    said: str

    @property
    def failed(self):
        return self.state in ("worse", "new", "gone")


def tolerance(rounds):
    """Share of the median."""
    middle = statistics.median(rounds)
    deviation = NORMAL * statistics.median([abs(value - middle) for value in rounds])
    return min(MOST, max(LEAST, DEVIATIONS * deviation / middle))


def limits(entry, widened=1):
    """(worst, best): beyond the first it fails, beyond the second it is worth a new baseline."""
    width = entry["tolerance"] * widened
    up, down = entry["median"] * (1 + width), entry["median"] / (1 + width)
    return (down, up) if entry["better"] == "higher" else (up, down)


def judge(name, entry, rounds, widened=1):
    """`entry`: of the baseline, None if it has none. `rounds`: None if it was not measured."""
    if entry is None:
        return Verdict(name, None, statistics.median(rounds), None, "new", "not in the baseline: bench/gate --update")
    if rounds is None:
        said = "in the baseline, but no longer measured: bench/gate --update"
        return Verdict(name, entry["median"], None, None, "gone", said)
    now = statistics.median(rounds)
    worst, best = limits(entry, widened)
    if beyond(now, worst, entry["better"]):
        return Verdict(name, entry["median"], now, worst, "worse", f"worse by {abs(now / entry['median'] - 1):.0%}")
    if beyond(best, now, entry["better"]):
        said = "better beyond the tolerance: bench/gate --update holds it"
        return Verdict(name, entry["median"], now, worst, "better", said)
    return Verdict(name, entry["median"], now, worst, "held", "")


def beyond(value, limit, better):
    """Whether a value is worse than a limit."""
    return value < limit if better == "higher" else value > limit
