"""The one format of all results, engine-bench/1: series, ratios, documents; and reading it back, with one line on what
is wrong. bench/README.md describes it. Units are in the names of the values (rate_pps, cpu_ns_per_packet)."""

import datetime
import json
import math
import pathlib
import shlex
import statistics
import sys

from . import machine

SCHEMA = "engine-bench/1"
KINDS = ("rx", "tx", "fwd", "search", "latency", "pipeline", "peers", "offline", "micro", "soak")
DIRECTIONS = ("higher", "lower")


class Malformed(Exception):
    """Says in one line what of a file is not in the format."""


def series(rounds):
    """One value a round, in the order they were measured."""
    rounds = [float(value) for value in rounds]
    return {"median": statistics.median(rounds), "min": min(rounds), "max": max(rounds), "rounds": rounds}


def ratio(name, a, b, better, target=None):
    """a to b, round by round: both were measured in the same round, so what disturbed one disturbed the other."""
    return {"name": name, **series([x / y for x, y in zip(a, b, strict=True)]), "better": better, "target": target}


def document(kind, results, ratios=(), missing=(), command=None, **more):
    """A whole file. `more`: interface and traffic, where there are any."""
    return {
        "schema": SCHEMA, "kind": kind, "command": command or shlex.join(sys.argv),
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine.describe(), **more,
        "results": list(results), "ratios": list(ratios), "missing": list(missing),
    }


def write(path, what):
    pathlib.Path(path).write_text(json.dumps(what, indent=2) + "\n", encoding="utf-8")


def read(path):
    """A file of the format, checked; a value that is a bare number becomes a series of one."""
    try:
        what = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Malformed(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Malformed(f"{path}: is not JSON: {error}") from None
    try:
        return checked(what)
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from None


def checked(what):
    need(isinstance(what, dict), "is not an object")
    need(what.get("schema") == SCHEMA, f"schema is {what.get('schema')!r}, not {SCHEMA!r}")
    need(what.get("kind") in KINDS, f"kind {what.get('kind')!r} is not one of {', '.join(KINDS)}")
    for key, form in (("command", str), ("time", str), ("machine", dict), ("results", list)):
        need(isinstance(what.get(key), form), f"{key} is missing")
    for key in ("ratios", "missing"):
        need(isinstance(what.setdefault(key, []), list), f"{key} is not a list")
    for result in what["results"]:
        need(isinstance(result, dict) and isinstance(result.get("name"), str), "a result has no name")
        for key, form in (("params", dict), ("values", dict), ("notes", list)):
            need(isinstance(result.setdefault(key, form()), form), f"{result['name']}: {key} is not a {form.__name__}")
        result["values"] = {name: a_series(f"{result['name']}: {name}", value)
                            for name, value in result["values"].items()}
    for entry in what["ratios"]:
        need(isinstance(entry, dict) and isinstance(entry.get("name"), str), "a ratio has no name")
        entry.update(a_series(entry["name"], entry))
        need(entry.get("better") in DIRECTIONS,
             f"{entry['name']}: better is {entry.get('better')!r}, not higher or lower")
        need(entry.setdefault("target", None) is None or is_number(entry["target"]),
             f"{entry['name']}: target is not a number")
    for entry in what["missing"]:
        need(isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in ("name", "reason")),
             "what is missing has no name or no reason")
    return what


def a_series(name, value):
    """None stays: it could not be measured, and a note says why."""
    if value is None:
        return None
    if is_number(value):
        value = {"median": value}
    need(isinstance(value, dict) and is_number(value.get("median")), f"{name}: has no median")
    median = value["median"]
    found = {**value, "min": value.get("min", median), "max": value.get("max", median),
             "rounds": value.get("rounds", [median])}
    need(is_number(found["min"]) and is_number(found["max"]) and found["min"] <= median <= found["max"],
         f"{name}: the median {median} is not between min and max")
    need(isinstance(found["rounds"], list) and all(is_number(x) for x in found["rounds"]),
         f"{name}: the rounds are not numbers")
    return found


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def need(condition, message):
    if not condition:
        raise Malformed(message)


def met(entry):
    """Whether a ratio meets its target; None without one."""
    if entry["target"] is None:
        return None
    return entry["median"] >= entry["target"] if entry["better"] == "higher" else entry["median"] <= entry["target"]
