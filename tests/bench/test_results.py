"""The results' format: what is written is read again, what is wrong is said in one line. Numbers are made up."""

import json
import math

import pytest
from common import results


def a_document(**changes):
    entry = results.ratio("a / b: x_ns", [2, 4, 9], [1, 2, 3], "lower", target=2.5)
    made = results.document("micro", [{"name": "a", "values": {"x_ns": results.series([3, 1, 2])}}], [entry],
                            [{"name": "b", "reason": "is not installed"}], command="made up")
    return {**made, **changes}


def test_a_ratio_is_made_within_a_round():
    entry = results.ratio("r", [10, 30], [5, 60], "higher")
    assert entry["rounds"] == [2, 0.5] and entry["median"] == 1.25 and (entry["min"], entry["max"]) == (0.5, 2)
    with pytest.raises(ValueError):
        results.ratio("r", [1, 2], [1], "higher")


def test_what_is_written_is_read_again(tmp_path):
    results.write(tmp_path / "a.json", a_document())
    read = results.read(tmp_path / "a.json")
    assert read["results"][0]["values"]["x_ns"] == {"median": 2, "min": 1, "max": 3, "rounds": [3, 1, 2]}
    assert read["machine"]["cores"] >= 1 and read["machine"]["kernel"]
    assert results.met(read["ratios"][0])


@pytest.mark.parametrize("better, target, met", [("lower", 2, True), ("lower", 1.9, False), ("higher", 2, True),
                                                 ("higher", 2.1, False), ("higher", None, None)])
def test_a_target_is_met_in_its_direction(better, target, met):
    assert results.met(results.ratio("r", [2], [1], better, target)) is met


def test_a_bare_number_is_a_series_and_null_stays():
    made = a_document(results=[{"name": "a", "values": {"lost": 0, "cycles_per_packet": None}}])
    assert results.checked(made)["results"][0]["values"] == {
        "lost": {"median": 0, "min": 0, "max": 0, "rounds": [0]}, "cycles_per_packet": None}


@pytest.mark.parametrize("changes, words", [
    ({"schema": "other/1"}, "schema is 'other/1'"),
    ({"kind": "guess"}, "kind 'guess'"),
    ({"machine": None}, "machine is missing"),
    ({"results": [{"values": {}}]}, "a result has no name"),
    ({"results": [{"name": "a", "values": {"x": "fast"}}]}, "a: x: has no median"),
    ({"results": [{"name": "a", "values": {"x": {"median": 3, "max": 2}}}]}, "is not between min and max"),
    ({"results": [{"name": "a", "values": {"x": math.nan}}]}, "a: x: has no median"),
    ({"ratios": [{"name": "r", "median": 1, "better": "faster"}]}, "better is 'faster'"),
    ({"missing": [{"name": "suricata"}]}, "no name or no reason"),
])
def test_what_is_wrong_is_said_in_one_line(tmp_path, changes, words):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(a_document(**changes)))
    with pytest.raises(results.Malformed, match=words) as error:
        results.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "[]", "{", '"engine-bench/1"'])
def test_no_document_at_all(tmp_path, content):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(results.Malformed):
        results.read(tmp_path / "bad.json")
    with pytest.raises(results.Malformed, match="No such file"):
        results.read(tmp_path / "absent.json")
