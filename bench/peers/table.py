"""Results as a table for people."""


def short(value):
    if value is None:
        return "-"
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= factor:
            return f"{value / (1e3 if unit == 'k' else factor):.3g} {unit}"
    return f"{value:.4g}"


def columns(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def render(document):
    """Medians of each group of results that have the same values; ratios with their spread; what was missing."""
    lines, groups = [], {}
    for result in document["results"]:
        groups.setdefault(tuple(result["values"]), []).append(result)
    for names, results in groups.items():
        rows = [["", *names]]
        for result in results:
            params = " ".join(f"{key}={value}" for key, value in result["params"].items())
            rows.append([f"{result['name']} {params}".strip(),
                         *(short(series and series["median"]) for series in result["values"].values())])
        lines += [*columns(rows), ""]
    if document["ratios"]:
        rows = [["ratio", "median", "min", "max", "target", ""]]
        for entry in document["ratios"]:
            target = entry["target"]
            bound = "" if target is None else f"{'>=' if entry['better'] == 'higher' else '<='} {short(target)}"
            met = "" if target is None else "met" if (entry["median"] >= target if entry["better"] == "higher"
                                                      else entry["median"] <= target) else "missed"
            rows.append([entry["name"], *(short(entry[key]) for key in ("median", "min", "max")), bound, met])
        lines += [*columns(rows), ""]
    notes = {note: None for result in document["results"] for note in result.get("notes", [])}
    lines += [f"note: {note}" for note in notes]
    lines += [f"missing: {entry['name']}: {entry['reason']}; {entry['remedy']}" for entry in document["missing"]]
    return "\n".join(lines)
