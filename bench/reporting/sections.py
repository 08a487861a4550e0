"""From result files to the sections of a report: one for each run, and the targets of all of them first."""

from common import results

from . import charts
from .labels import Labels
from .model import Cell, Machine, Report, Section, Table
from .units import count, number, span, spelled, unit_of

# Also the order of the sections.
TITLES = {
    "peers": "Peers side by side", "search": "Highest loss-free rate", "rx": "Receiving", "tx": "Sending",
    "fwd": "Forwarding", "latency": "Latency", "pipeline": "Cost by stage, in memory", "offline": "Over a capture file",
    "micro": "Parts, in memory", "soak": "Long run",
}
BARS = {
    "peers": (("rate_pps", "Loss-free rate"), ("cpu_and_softirq_ns_per_packet", "CPU time, its own and softirq's"),
              ("cpu_ns_per_packet", "CPU time of its own"), ("memory_bytes", "Memory"), ("buffer_bytes", "Packet buffers"),
              ("other_bytes", "Memory besides packet buffers")),
    "offline": (("rate_pps", "Rate over a file"), ("cpu_ns_per_packet", "CPU time per packet")),
    "pipeline": (("ns_per_packet", "Cost per packet by stage"),),
    "rx": (("rate_pps", "Rate received"),),
    "tx": (("rate_pps", "Rate sent"),),
    "fwd": (("rate_pps", "Rate forwarded"),),
}
WIDE = 9
# What is most asked for stands left; whatever else a file has follows in its order.
COLUMNS = ("rate_pps", "rate_bytes_per_s", "ns_per_packet", "ns_per_operation", "cpu_ns_per_packet",
           "user_ns_per_packet", "kernel_ns_per_packet", "cycles_per_packet", "memory_bytes",
           "buffer_bytes", "lost", "unaccounted")


def report(runs, comparison=None):
    """`runs` as common/results reads them; `comparison` is a section made by reporting/baseline."""
    runs = sorted(runs, key=lambda run: list(TITLES).index(run["kind"]))
    parts = [section(run, *named(run, runs)) for run in runs]
    front = [part for part in (targets(runs), comparison) if part]
    machines = distinct([machine(run["machine"]) for run in runs])
    warnings = [] if len(machines) == 1 else [
        f"These files come from {len(machines)} machines: figures of one are not comparable with those of another."]
    times = sorted(run["time"].split(".")[0].replace("T", " ").rstrip("Z") + " UTC" for run in runs)
    when = times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
    return Report(when, machines, warnings, front + parts)


def named(run, runs):
    """Identifier and title of a run's section: several of a kind are told apart by their mode, if that does, and counted."""
    kind = run["kind"]
    alike = [other for other in runs if other["kind"] == kind]
    if len(alike) == 1:
        return kind, TITLES[kind]
    modes = [(other.get("interface") or {}).get("mode") for other in alike]
    nth = next(at for at, other in enumerate(alike) if other is run)
    word = f", mode {modes[nth]}" if None not in modes and len(set(modes)) == len(modes) else f" ({nth + 1})"
    return f"{kind}-{nth + 1}", TITLES[kind] + word


def distinct(things):
    return [thing for at, thing in enumerate(things) if thing not in things[:at]]


def machine(described):
    memory = described.get("memory_bytes")
    cores = f"{described.get('cores', 'not known')}"
    if described.get("threads_per_core"):
        cores += f" ({described['threads_per_core']} thread{'s' * (described['threads_per_core'] != 1)} a core)"
    facts = [
        ("CPU", described.get("cpu") or "not known"), ("Cores", cores),
        ("NUMA nodes", str(described.get("numa_nodes", "not known"))),
        ("Memory", f"{number(round(memory / 2**30, 1))} GiB" if memory else "not known"),
        ("Kernel", described.get("kernel") or "not known"), ("Hypervisor", described.get("hypervisor") or "none"),
        ("Governor", described.get("governor") or "not shown by this machine"),
        ("Hardware counters", "yes" if described.get("counters") else "none: no cycles"),
    ]
    return Machine(facts, [(name.replace("_", " "), state or "not known")
                           for name, state in sorted((described.get("mitigations") or {}).items())])


def section(run, ident, title):
    labels = Labels(run["results"])
    made = Section(ident, title, facts(run, labels), run["command"])
    groups = alike(run["results"])
    made.tables = [values_table(run, f"{ident}-values-{at}", ident, names, labels) for at, names in enumerate(groups)]

    def table_of(metric):
        return next((f"{ident}-values-{at}" for at, names in enumerate(groups) if metric in names), "")

    made.charts = [chart for chart in charts_of(run, ident, labels, table_of) if chart]
    if run["ratios"]:
        made.tables.append(ratios_table(f"{ident}-ratios", "Ratios, made within each round", run["ratios"], ident))
    if groups:
        made.tables.append(rounds_table(run, ident, labels))
    made.notes = notes(run["results"], labels) + [missing(entry) for entry in run["missing"]]
    return made


def charts_of(run, ident, labels, table_of):
    if run["kind"] == "search":
        yield charts.rates_over_sizes(f"{ident}-sizes", run, labels, table_of("rate_pps"))
    if run["kind"] == "latency":
        yield charts.percentile_curves(f"{ident}-curve", run, labels, table_of("latency_p50_ns"))
    for metric, words in BARS.get(run["kind"], ()):
        yield from charts.bars(f"{ident}-{metric}", words, run, metric, labels, table_of(metric))
    suffix = ": ns_per_operation"
    costs = [(entry["name"].removesuffix(suffix), entry) for entry in run["ratios"] if entry["name"].endswith(suffix)]
    if costs:
        yield charts.ratios(f"{ident}-against", "Cost against the peers", costs, f"{ident}-ratios",
                            "ratio of costs, logarithmic; left of 1 the first is faster")


def notes(found, labels):
    """Each note once, with the results that it is of, unless it is of all."""
    of = {}
    for result in found:
        for note in distinct(result["notes"]):
            of.setdefault(note, []).append(labels.of(result))
    return [note if len(names) == len(found) > 1 else f"{'; '.join(names)}: {note}" for note, names in of.items()]


def missing(entry):
    remedy = f"; to get it: {entry['remedy']}" if entry.get("remedy") else ""
    return f"Not measured: {entry['name']} {entry['reason']}{remedy}."


def facts(run, labels):
    """What holds for the whole run: interface, traffic, and the parameters that no result differs in."""
    made = []
    at = run.get("interface")
    if at:
        made.append(" · ".join(str(part) for part in (
            at.get("name"), f"driver {at['driver']}" if at.get("driver") else None,
            f"mode {at['mode']}" if at.get("mode") else None,
            f"{at['queues']} queue{'s' * (at['queues'] != 1)}" if at.get("queues") else None,
            f"MTU {at['mtu_bytes']} B" if at.get("mtu_bytes") else None) if part))
    settings = {**(run.get("traffic") or {}), **labels.common()}
    made.append(" · ".join(setting(key, value) for key, value in settings.items() if value not in (None, "")))
    return [fact for fact in made if fact]


def setting(key, value):
    unit = unit_of(key, [])
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{unit.label} {count(value)}" + (f" {unit.name}" if unit.name else "")
    return f"{spelled(key)} {value}"


def alike(found):
    """The columns of each table: results that have no value in common do not stand in one."""
    groups = []
    for result in found:
        names = list(result["values"])
        for group in [group for group in groups if set(group) & set(names)]:
            names = distinct(group + names)
            groups.remove(group)
        if names:
            groups.append(sorted(names, key=lambda name: COLUMNS.index(name) if name in COLUMNS else len(COLUMNS)))
    return groups


def values_table(run, ident, section_ident, names, labels):
    medians = {name: [found["median"] for result in run["results"] if (found := result["values"].get(name))]
               for name in names}
    # Percentiles are compared along the row: one unit for all, that of the lowest.
    latencies = [medians[name] for name in names if name.startswith("latency_") and medians[name]]
    lowest = min(latencies, key=max, default=[])
    units = {name: unit_of(name, lowest if name.startswith("latency_") else medians[name]) for name in names}
    rows = [[Cell("result"), *(Cell(units[name].head()) for name in names)]]
    for at, result in enumerate(run["results"]):
        if set(names) & set(result["values"]):
            rows.append([Cell(labels.of(result)), *(
                value_cell(result, name, units[name], f"{section_ident}/{at}/{name}") for name in names)])
    # Few results of many values read better downwards.
    if len(names) > WIDE and len(rows) <= WIDE // 2:
        rows = [list(column) for column in zip(*rows)]
        rows[0][0] = Cell("value")
    return Table(ident, "Medians; beneath, the lowest and the highest round", [cell.text for cell in rows[0]], rows[1:])


def value_cell(result, name, unit, key):
    found = result["values"].get(name)
    if found:
        return Cell(unit.text(found["median"]), unit.spread(found), found["median"], key)
    return Cell("not measured" if name in result["values"] else "–")


def rounds_table(run, ident, labels):
    """Every round of every value, as it was measured, in the unit of its name."""
    rows = [[Cell(labels.of(result)), Cell(name), Cell(", ".join(f"{value:.6g}" for value in found["rounds"]))]
            for result in run["results"] for name, found in result["values"].items() if found]
    return Table(f"{ident}-rounds", "The values of the rounds", ["result", "value", "rounds, in the order measured"],
                 rows, folded=True)


def ratios_table(ident, caption, entries, where):
    rows = []
    for at, entry in enumerate(entries):
        met = results.met(entry)
        sign = "≥" if entry["better"] == "higher" else "≤"
        rows.append([
            Cell(entry["name"]),
            Cell(number(entry["median"]), span(entry, number), entry["median"], f"{where}/ratio/{at}"),
            Cell("–" if met is None else f"{sign} {entry['target']:g}"),
            {True: Cell("met", state="met"), False: Cell("not met", state="missed"), None: Cell("–")}[met],
        ])
    return Table(ident, caption, ["ratio", "median", "target", "held"], rows)


def targets(runs):
    """Every ratio that has a target, of all runs; None if no file has one."""
    entries = [entry for run in runs for entry in run["ratios"] if entry["target"] is not None]
    if not entries:
        return None
    held = sum(results.met(entry) for entry in entries)
    made = Section("targets", "Targets", [f"{held} of {len(entries)} met by the median of the rounds."])
    made.tables.append(ratios_table("targets-table", "Ratios with a target", entries, "targets"))
    return made
