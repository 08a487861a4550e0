"""Charts as plain data, for page/charts.js: lines over frame sizes or percentiles, bars with spread, ratios around 1.

Values are already in the unit that the axis names."""

import math

from .model import Chart
from .units import number, unit_of

PERCENTILES = ((50, "latency_p50_ns"), (90, "latency_p90_ns"), (99, "latency_p99_ns"), (99.9, "latency_p99_9_ns"),
               (99.99, "latency_p99_99_ns"))


def rates_over_sizes(ident, run, labels, table):
    """Highest loss-free rate over frame size: a line for each name and setting. None if there are no two sizes.

    Sizes as RFC 2544 has them, with FCS (wire_bytes), where the file tells these too."""
    with_fcs = all("wire_bytes" in result["params"] for result in run["results"])
    key = "wire_bytes" if with_fcs else "frame_bytes"
    points = [(labels.without(result, "frame_bytes", "wire_bytes"), result["params"][key], result["values"]["rate_pps"])
              for result in run["results"] if key in result["params"] and result["values"].get("rate_pps")]
    sizes = sorted({size for _, size, _ in points})
    if len(sizes) < 2:
        return None
    unit = unit_of("rate_pps", [series["max"] for _, _, series in points])
    lines = {}
    for label, size, series in points:
        lines.setdefault(label, {})[size] = series
    return Chart(ident, "Highest loss-free rate over frame size", {
        "form": "lines", "x": list(range(len(sizes))), "ticks": [f"{size:,}" for size in sizes],
        "x_label": "frame with FCS, bytes" if with_fcs else "frame without FCS, bytes",
        "y_label": f"rate, {unit.name}", "log": False,
        "lines": [line(label, [found.get(size) for size in sizes], unit.divisor) for label, found in lines.items()],
    }, table)


def percentile_curves(ident, run, labels, table):
    """Latency over percentile: the x axis is the number of nines, the y axis logarithmic."""
    curves = []
    for result in run["results"]:
        found = [result["values"].get(name) for _, name in PERCENTILES]
        if sum(series is not None and series["median"] > 0 for series in found) >= 2:
            curves.append((labels.of(result), found))
    if not curves:
        return None
    unit = unit_of("latency_ns", [series["median"] for _, found in curves for series in found[:1] if series])
    return Chart(ident, "Latency by percentile", {
        "form": "lines", "x": [-math.log10(1 - percentile / 100) for percentile, _ in PERCENTILES],
        "ticks": [f"p{percentile:g}" for percentile, _ in PERCENTILES],
        "x_label": "share of packets that were at least as fast",
        "y_label": f"latency, {unit.name}, logarithmic", "log": True,
        "lines": [line(label, found, unit.divisor) for label, found in curves],
    }, table)


def line(label, found, divisor):
    def each(key):
        return [series[key] / divisor if series else None for series in found]
    return {"label": label, "y": each("median"), "low": each("min"), "high": each("max")}


def bars(ident, title, run, metric, labels, table):
    """One bar a result, with the range of its rounds, where there are two to compare. What was measured at several rates
    that were given is a chart for each."""
    at_rates = {}
    for result in run["results"]:
        if result["values"].get(metric):
            at_rates.setdefault(result["params"].get("rate_pps"), []).append(result)
    for rate, shown in at_rates.items():
        if len(shown) > 1 and len(at_rates) > 1 and rate is not None:
            yield one_bars(f"{ident}-{rate}", f"{title}, at {rate:,} packets/s", shown, metric, labels, table)
        elif len(shown) > 1:
            yield one_bars(ident, title, shown, metric, labels, table)


def one_bars(ident, title, shown, metric, labels, table):
    unit = unit_of(metric, [result["values"][metric]["median"] for result in shown])
    names = {result["name"] for result in shown}
    own = {name for name in names if name.startswith("engine")} or names
    return Chart(ident, title, {
        "form": "bars", "x_label": unit.head(),
        "bars": [bar(labels.of(result, shown), result["values"][metric], unit.divisor, unit.text, result["name"] in own)
                 for result in shown],
    }, table)


def ratios(ident, title, entries, table, x_label):
    """Ratios around 1, logarithmic, so that half and double are equally far: (label, series) each."""
    return Chart(ident, title, {
        "form": "ratios", "x_label": x_label,
        "bars": [bar(label, series, 1, number) for label, series in entries if series["min"] > 0],
    }, table)


def bar(label, series, divisor, text, own=True):
    """`own`: drawn in the accent's colour; what others made is grey."""
    return {"own": own, "label": label, "value": series["median"] / divisor, "low": series["min"] / divisor,
            "high": series["max"] / divisor, "text": text(series["median"])}
