"""Compares runs with an earlier one of the same format: ratios always; times and rates only if the machine is the same,
for those of another machine say nothing."""

from . import charts
from .labels import Labels
from .model import Cell, Section, Table
from .units import higher_is_better, number, span, unit_of

SAME = ("cpu", "cores", "kernel", "hypervisor")


def comparison(runs, baseline, name):
    """The section, with a chart of now / before."""
    made = Section("baseline", "Compared with a baseline", [f"{name}, of {baseline['time']}"], baseline["command"])
    rows = compare_ratios(runs, baseline)
    differing = [key for run in runs for key in SAME if run["machine"].get(key) != baseline["machine"].get(key)]
    if differing:
        words = ", ".join(sorted(set(differing)))
        made.facts.append(f"Not the same machine ({words} differ): times and rates are left out, ratios stay.")
    else:
        rows += compare_values(runs, baseline)
    if not rows:
        made.facts.append("Nothing that was measured now is in the baseline.")
        return made
    made.tables.append(Table("baseline-table", "Better or worse: the ranges of the rounds do not even touch",
                             ["figure", "before", "now", "now / before", "change"],
                             [cells(*row) for row in rows]))
    changes = [(label, change(before, now)) for label, before, now, *_ in rows]
    made.charts.append(charts.ratios("baseline-chart", "Now / before", changes, "baseline-table",
                                     "now / before, logarithmic"))
    return made


def compare_ratios(runs, baseline):
    """(label, before, now, better is higher, text of a value)"""
    before = {entry["name"]: entry for entry in baseline["ratios"]}
    return [(entry["name"], before[entry["name"]], entry, entry["better"] == "higher", number)
            for run in runs for entry in run["ratios"] if entry["name"] in before]


def compare_values(runs, baseline):
    def identity(result):
        return result["name"], tuple(sorted((key, str(value)) for key, value in result["params"].items()))

    before = {identity(result): result["values"] for result in baseline["results"]}
    rows = []
    for run in (run for run in runs if run["kind"] == baseline["kind"]):
        labels = Labels(run["results"])
        for result in run["results"]:
            old = before.get(identity(result), {})
            for name, found in result["values"].items():
                if found and old.get(name) and found["median"] > 0 and old[name]["median"] > 0:
                    unit = unit_of(name, [found["median"]])
                    label = f"{labels.of(result)}: {unit.head()}"
                    rows.append((label, old[name], found, higher_is_better(name), unit.text))
    return rows


def change(before, now):
    """Now over before, with the least and the greatest that their rounds allow."""
    return {"median": now["median"] / before["median"], "min": now["min"] / before["max"] if before["max"] else 0,
            "max": now["max"] / before["min"] if before["min"] else now["median"] / before["median"]}


def cells(label, before, now, higher, text):
    apart = now["min"] > before["max"] or now["max"] < before["min"]
    state = ("better" if (now["median"] > before["median"]) == higher else "worse") if apart else ""
    return [Cell(label), Cell(text(before["median"]), span(before, text)),
            Cell(text(now["median"]), span(now, text), now["median"], f"baseline/{label}"),
            Cell(number(now["median"] / before["median"])), Cell(state or "within the spread", state=state)]
