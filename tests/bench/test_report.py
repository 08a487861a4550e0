"""bench/report: tables hold the files' numbers, what is wrong is said in one line, nothing in a file becomes markup."""

import json
import pathlib
import re
import struct
import subprocess

import browser
import made_up
import pytest
from common import results
from reporting import baseline, markdown, page, sections, units

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ENGINE = ROOT / "build/engine/engine"
CHROMIUM = browser.find()
needs_uplot = pytest.mark.skipif(not page.UPLOT.is_dir(), reason="there is no uPlot: npm ci --prefix bench/reporting/page")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


def run(*arguments):
    return subprocess.run([ROOT / "bench/report", *map(str, arguments)], capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder, the files' documents) with a report and, beside it, one that is compared with a slower baseline."""
    folder = tmp_path_factory.mktemp("report")
    paths = made_up.write_all(folder)
    older = made_up.peers()
    for result in older["results"]:
        result["values"]["rate_pps"] = made_up.spread(result["values"]["rate_pps"]["median"] * 0.5)
    results.write(folder / "older.json", older)
    if page.UPLOT.is_dir():
        done = run("--baseline", folder / "older.json", "--out", folder, *paths)
        assert done.returncode == 0, done.stderr
    return folder, [results.read(path) for path in paths]


@pytest.mark.parametrize("name, values, text", [
    ("rate_pps", [4_403_210], "4.40"), ("rate_pps", [999], "999"), ("cpu_ns_per_packet", [136.04], "136"),
    ("latency_p99_9_ns", [54_000], "54.0"), ("memory_bytes", [3 * 2**20], "3.00"), ("lost", [1_234_567], "1,234,567"),
    ("unaccounted", [0], "0"), ("empty_polls_share", [0.99992], "0.99992"), ("trial_s", [0.1], "0.100"),
    ("cycles_per_packet", [17.251], "17.3"), ("ns_per_record", [6.2], "6.20"), ("ns_per_operation", [0.0000123], "1.2e-05"),
])
def test_numbers_as_people_read_them(name, values, text):
    assert units.unit_of(name, values).text(values[0]) == text


@pytest.mark.parametrize("name, value, head", [
    ("rate_pps", 4e6, "rate, Mpps"), ("rate_pps", 4e4, "rate, kpps"), ("latency_p99_99_ns", 5e6, "p99.99, ms"),
    ("cpu_ns_per_packet", 136, "CPU per packet, ns"), ("rate_bytes_per_s", 2e9, "rate, GB/s"),
    ("empty_polls", 3, "empty polls"), ("ns_per_line", 160, "per line, ns"), ("user_ns_per_packet", 9, "user per packet, ns"),
    ("memory_bytes", 5, "memory, B"),
])
def test_the_head_of_a_column_has_the_unit(name, value, head):
    assert units.unit_of(name, [value]).head() == head


def test_markdown_holds_every_result_and_target(made):
    text = markdown.render(sections.report(made[1]))
    for name in made_up.RECEIVERS:
        assert f"| {name.replace('_', ' ')} | " in text
    assert "| 4.40 (4.35–4.45) |" in text and "2 of 3 met" in text and "**not met**" in text
    assert "Not measured: suricata is not installed; to get it: bench/peers/install." in text
    assert "Mitigations: " in text or not made[1][0]["machine"]["mitigations"]
    for row in (line for line in text.splitlines() if line.startswith("| rxdrop")):
        assert len(re.findall(r"(?<!\\)\|", row)) == 8


def test_nothing_in_a_file_becomes_markup(made):
    text = markdown.render(sections.report(made[1]))
    assert "no counters \\| \\<i\\>none" in text
    if page.UPLOT.is_dir():
        html = (made[0] / "report.html").read_text()
        assert "<i>none" not in html and "</script> <b>" not in html and html.count("</script>") == 2


def test_a_baseline_is_compared_where_it_can_be(made):
    runs = [made_up.peers()]
    older = made_up.peers()
    older["results"][0]["values"]["rate_pps"] = made_up.spread(2.2e6)
    rows = {row[0].text: row for row in baseline.comparison(runs, older, "older").tables[0].rows}
    assert rows["rxdrop: rate, Mpps"][3].text == "2.00" and rows["rxdrop: rate, Mpps"][4].state == "better"
    assert rows["libpcap: rate, Mpps"][4].text == "within the spread"
    older["machine"] = {**older["machine"], "cpu": "another"}
    part = baseline.comparison(runs, older, "older")
    assert all(" / " in row[0].text for row in part.tables[0].rows) and "cpu differ" in " ".join(part.facts)


def test_files_of_two_machines_are_told_apart(made):
    other = {**made[1][0], "machine": {**made[1][0]["machine"], "cpu": "another"}}
    report = sections.report([made[1][0], other])
    assert len(report.machines) == 2 and "2 machines" in report.warnings[0]
    assert [section.ident for section in report.sections] == ["targets", "peers-1", "peers-2"]
    assert report.sections[2].title == "Peers side by side (2)"


def test_runs_of_one_kind_are_told_apart_by_mode():
    runs = [{**made_up.latency(), "interface": {"mode": mode}} for mode in ("copy", "afpacket")]
    assert [section.title for section in sections.report(runs).sections] == ["Latency, mode copy", "Latency, mode afpacket"]


@pytest.mark.skipif(not ENGINE.exists(), reason="build/engine/engine is not built")
def test_a_file_as_the_engine_writes_it(tmp_path):
    path = tmp_path / "pipeline.json"
    subprocess.run([ENGINE, "bench", "pipeline", "--rounds", "2", "--time", "1", "--json", path], check=True,
                   capture_output=True, cwd=ROOT, timeout=300)
    measured = results.read(path)
    text = markdown.render(sections.report([measured]))
    for entry in (*measured["results"], *measured["ratios"]):
        assert f"| {markdown.escaped(entry['name'])} | " in text or f"| {entry['name'].replace('_', ' ')} | " in text


@pytest.mark.parametrize("content, words", [("{}", "schema is None"), ("{", "is not JSON")])
def test_a_bad_file_is_refused_in_one_line(tmp_path, content, words):
    (tmp_path / "bad.json").write_text(content)
    done = run("--out", tmp_path, tmp_path / "bad.json")
    assert done.returncode == 1 and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "report.html").exists()


def test_without_uplot_the_remedy_is_said(made, monkeypatch):
    monkeypatch.setattr(page, "UPLOT", pathlib.Path("/nonexistent"))
    with pytest.raises(page.NoUplot, match="npm ci --prefix"):
        page.render(sections.report(made[1]))


@pytest.fixture(scope="module")
def shown(made):
    with browser.Browser(CHROMIUM) as window:
        yield made[0] / "report.html", made[1], window


# Per chart: how many colours its canvas has, and whether it lies within the page.
LOOK = """[...document.querySelectorAll(".chart")].map((place) => {
  const canvas = place.querySelector("canvas"), box = canvas.getBoundingClientRect();
  const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set(new Uint32Array(bytes.buffer));
  return { id: place.id, colours: colours.size, within: box.left >= 0 && box.right <= innerWidth };
})"""


@needs_uplot
@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_is_drawn(shown, width, scheme, tmp_path):
    path, _, window = shown
    window.show(path, width, scheme)
    charts = window.evaluate(LOOK)
    assert {"peers-rate_pps", "peers-cpu_ns_per_packet", "search-sizes", "latency-curve", "pipeline-ns_per_packet",
            "baseline-chart", "micro-against"} <= {chart["id"] for chart in charts}
    assert all(chart["colours"] > 5 and chart["within"] for chart in charts), charts
    assert window.evaluate("document.documentElement.scrollWidth") == width
    assert window.console == []  # also no fetch, and nothing that the page's policy refused
    window.screenshot(tmp_path / "page.png")
    pixels = struct.unpack(">II", (tmp_path / "page.png").read_bytes()[16:24])  # of its IHDR
    assert pixels == (width, window.evaluate("document.documentElement.scrollHeight"))
    assert (tmp_path / "page.png").stat().st_size > pixels[0] * pixels[1] / 200  # more than paper


@needs_uplot
@needs_chromium
def test_the_tables_hold_the_numbers_of_the_files(shown):
    path, runs, window = shown
    window.show(path, 1280)
    cells = window.evaluate("""Object.fromEntries([...document.querySelectorAll("[data-key]")].map(
        (cell) => [cell.dataset.key, [cell.dataset.value, cell.firstChild.textContent]]))""")
    for run_ in runs:
        for at, result in enumerate(run_["results"]):
            for name, series in result["values"].items():
                if series:
                    exact, text = cells[f"{run_['kind']}/{at}/{name}"]
                    kept = "latency_p50_ns" if name.startswith("latency_") else name  # whose unit the column has
                    column = [other["values"][kept]["median"] for other in run_["results"] if other["values"].get(kept)]
                    assert float(exact) == series["median"]
                    assert text == units.unit_of(name, column).text(series["median"])
        for at, entry in enumerate(run_["ratios"]):
            assert float(cells[f"{run_['kind']}/ratio/{at}"][0]) == entry["median"]
    # Every chart leads to a table that is there, and draws what stands in it.
    assert window.evaluate("""[...document.querySelectorAll("figcaption a")].every(
        (a) => document.querySelector(a.hash + " td"))""")
    drawn = json.loads(window.evaluate('document.getElementById("chart-data").textContent'))
    for bar, result in zip(drawn["peers-rate_pps"]["bars"], runs[0]["results"], strict=True):
        assert bar["value"] * 1e6 == pytest.approx(result["values"]["rate_pps"]["median"])


@needs_uplot
@needs_chromium
def test_a_pointer_reads_the_values_of_a_line(shown):
    path, _, window = shown
    window.show(path, 1280)
    box = window.evaluate("""(() => { const chart = document.querySelector("#search-sizes .u-over");
        chart.scrollIntoView(); const box = chart.getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2]; })()""")
    window.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    text = window.evaluate("""new Promise((done) => {
        const readout = document.querySelector("#search-sizes + .readout");
        const look = () => readout.textContent ? done(readout.textContent) : setTimeout(look, 10); look(); })""")
    assert text.startswith("512: search, copy 3.503 · search, afpacket 1.035")
