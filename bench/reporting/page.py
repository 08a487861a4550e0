"""A report as one HTML page that fetches nothing: style, uPlot, charts and data are in it; its policy allows only them."""

import base64
import hashlib
import json
import pathlib
from html import escape

PAGE = pathlib.Path(__file__).resolve().parent / "page"
UPLOT = PAGE / "node_modules" / "uplot"


class NoUplot(Exception):
    """One line with the remedy."""


def render(report):
    style = packaged("dist/uPlot.min.css") + (PAGE / "page.css").read_text(encoding="utf-8")
    script = packaged("dist/uPlot.iife.min.js") + "\n" + (PAGE / "charts.js").read_text(encoding="utf-8")
    charts = {chart.ident: chart.spec for section in report.sections for chart in section.charts}
    # Within a script element only "<" could end it or open a comment.
    data = json.dumps(charts, ensure_ascii=False).replace("<", "\\u003c")
    policy = (f"default-src 'none'; script-src {hashed(script)}; style-src {hashed(style)}; "
              "base-uri 'none'; form-action 'none'")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Benchmark report, {escape(report.when)}</title>
<!-- Charts by uPlot.
{packaged("LICENSE").replace("--", "- -")}-->
<style>{style}</style>
</head>
<body>
{head(report)}
<main>
{"".join(section(one) for one in report.sections)}</main>
<footer>Made by <code>bench/report</code> from result files of <code>engine-bench/1</code>. Each figure is the median
of its rounds, with the lowest and the highest round; a ratio is made within each round.</footer>
<script type="application/json" id="chart-data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def packaged(name):
    try:
        return (UPLOT / name).read_text(encoding="utf-8")
    except OSError:
        raise NoUplot(f"the page needs uPlot, and {UPLOT / name} is missing; run: npm ci --prefix {PAGE}") from None


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def head(report):
    links = "".join(f'<li><a href="#{one.ident}">{escape(one.title)}</a></li>' for one in report.sections)
    warnings = "".join(f'<p class="warning">{escape(text)}</p>' for text in report.warnings)
    return f"""<header>
<h1>Benchmark report</h1>
<p class="quiet">Measured {escape(report.when)}</p>
{warnings}{"".join(machine(one) for one in report.machines)}<nav aria-label="Contents"><ul>{links}</ul></nav>
</header>"""


def machine(one):
    facts = "".join(f"<div><dt>{escape(word)}</dt><dd>{escape(holds)}</dd></div>" for word, holds in one.facts)
    mitigations = "".join(f"<dt>{escape(name)}</dt><dd>{escape(state)}</dd>" for name, state in one.mitigations)
    folded = f"""<details><summary>{counted(one.mitigations)}</summary>
<dl class="mitigations">{mitigations}</dl></details>
""" if mitigations else ""
    return f'<dl class="machine">{facts}</dl>\n{folded}'


def counted(mitigations):
    """What slows the kernel down, at a glance: the rest is behind the click."""
    active = sum(state.startswith("Mitigation") for _, state in mitigations)
    open_ = sum(state.startswith("Vulnerable") for _, state in mitigations)
    return f"CPU mitigations: {active} active, {open_} vulnerable, {len(mitigations) - active - open_} not affected"


def section(one):
    facts = "".join(f"<p>{escape(fact)}</p>\n" for fact in one.facts)
    command = f'<code class="command" tabindex="0">{escape(one.command)}</code>\n' if one.command else ""
    charts = f'<div class="charts">{"".join(chart(each) for each in one.charts)}</div>\n' if one.charts else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in one.notes)
    notes = f'<ul class="notes">{notes}</ul>\n' if notes else ""
    shown = [each for each in one.tables if not each.folded]
    folded = [each for each in one.tables if each.folded]
    return f"""<section id="{one.ident}" aria-labelledby="{one.ident}-title">
<h2 id="{one.ident}-title">{escape(one.title)}</h2>
{facts}{command}{charts}{"".join(map(table, shown))}{notes}{"".join(map(folded_table, folded))}</section>
"""


def chart(one):
    return f"""<figure>
<figcaption>{escape(one.title)}<a href="#{one.table}">as a table</a></figcaption>
<div class="chart" id="{one.ident}" role="img"
 aria-label="Chart: {escape(one.title)}. The same figures stand in the table."></div>
<div class="readout" aria-hidden="true"></div>
</figure>
"""


def table(one, kind=""):
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in one.head)
    body = "".join("<tr>" + "".join(cell(each, at == 0) for at, each in enumerate(row)) + "</tr>\n" for row in one.rows)
    return f"""<div class="scroll {kind}" id="{one.ident}" tabindex="0" role="region" aria-label="{escape(one.caption)}">
<table>
<caption>{escape(one.caption)}</caption>
<thead><tr>{columns}</tr></thead>
<tbody>
{body}</tbody></table></div>
"""


def folded_table(one):
    return f"<details><summary>{escape(one.caption)}</summary>{table(one, 'rounds')}</details>\n"


def cell(one, first):
    spread = f"<small>{escape(one.spread)}</small>" if one.spread else ""
    exact = f' data-key="{escape(one.key)}" data-value="{one.value!r}"' if one.key else ""
    state = f' class="{one.state}"' if one.state else ""
    tag = 'th scope="row"' if first else "td"
    text = escape(one.text).replace("_", "_<wbr>") if first else escape(one.text)
    return f"<{tag}{exact}{state}>{text}{spread}</{tag.split()[0]}>"
