// Draws the charts of a report from the data block in the page, with uPlot. Colours are the style sheet's, so that a
// change between light and dark is a redraw. Every figure drawn here also stands in the table that the chart names.
"use strict";

const specs = JSON.parse(document.getElementById("chart-data").textContent);
const SERIES = 8; // --series-1 to --series-8 in page.css
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
const ROW_PX = 44;
// Ticks of an axis of ratios, as far as they fit.
const RATIOS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 0.95, 1,
                1.05, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000];

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const font = (px) => `${px * uPlot.pxRatio}px ${getComputedStyle(document.body).fontFamily}`;
const series_colour = (at) => style(`--series-${(at % SERIES) + 1}`);
const short = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });

function axis(more) {
  return {
    stroke: style("--muted"), font: `12px ${getComputedStyle(document.body).fontFamily}`,
    labelFont: `12px ${getComputedStyle(document.body).fontFamily}`,
    grid: { stroke: style("--rule"), width: 1 }, ticks: { show: false }, ...more,
  };
}

// Lines over sizes or percentiles; each point with the range of its rounds.
function lines_options(spec, readout) {
  const series = spec.lines.map((line, at) => ({
    label: line.label, stroke: series_colour(at), width: 2, dash: DASHES[Math.floor(at / SERIES) % DASHES.length],
    points: { show: true, size: 7, fill: style("--paper") },
  }));
  const of_all = (key) => spec.lines.flatMap((line) => line[key].filter((value) => value !== null));
  const lowest = Math.min(...of_all("low")), highest = Math.max(...of_all("high"));
  const decade = (round, value) => 10 ** round(Math.log10(value));
  const range = spec.log ? [decade(Math.floor, lowest), decade(Math.ceil, highest * 1.01)] : [0, highest * 1.06];
  const last = spec.x[spec.x.length - 1], first = spec.x[0], edge = (last - first) * 0.04;
  return {
    scales: { x: { time: false, range: [first - edge, last + edge] }, y: { distr: spec.log ? 3 : 1, range } },
    series: [{}, ...series],
    axes: [axis({ label: spec.x_label, labelSize: 22, size: 30, splits: () => spec.x, values: () => spec.ticks,
                  grid: { show: false } }),
           axis({ label: spec.y_label, labelSize: 22, size: 52, values: (u, ticks) => ticks.map(short),
                  ...(spec.log && { splits: (u, at, low, high) => decades(low, high) }) })],
    legend: { live: false, show: spec.lines.length > 1 },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 9 } },
    hooks: {
      draw: [(u) => spec.lines.forEach((line, at) => whiskers(u, spec.x, line, series_colour(at)))],
      setCursor: [(u) => { readout.textContent = told(spec, u.cursor.idx); }],
    },
  };
}

// A line for each power of ten, and between them at 2 and 5 where there are few.
function decades(low, high) {
  const first = Math.round(Math.log10(low)), last = Math.round(Math.log10(high)), ticks = [];
  for (let power = first; power <= last; ++power) {
    for (const times of last - first <= 2 ? [1, 2, 5] : [1]) ticks.push(times * 10 ** power);
  }
  return ticks.filter((tick) => tick <= high * 1.001);
}

function told(spec, at) {
  if (at === null || at === undefined) return "";
  const values = spec.lines.filter((line) => line.y[at] !== null).map((line) => `${line.label} ${short(line.y[at])}`);
  return `${spec.ticks[at]}: ${values.join(" · ")}`;
}

function whiskers(u, xs, line, colour) {
  u.ctx.save();
  u.ctx.strokeStyle = colour;
  u.ctx.lineWidth = 1.25 * uPlot.pxRatio;
  xs.forEach((x, at) => {
    if (line.y[at] === null) return;
    const across = u.valToPos(x, "x", true);
    stroke(u.ctx, across, u.valToPos(line.low[at], "y", true), across, u.valToPos(line.high[at], "y", true));
  });
  u.ctx.restore();
}

function stroke(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

// Rows from top to bottom: the label and the value above, a bar (from 0) or a dot (around 1) beneath, and the range.
function rows_options(spec) {
  const around_one = spec.form === "ratios";
  const place = around_one ? Math.log2 : (value) => value;
  const ends = spec.bars.flatMap((bar) => [place(bar.low), place(bar.high)]);
  const low = around_one ? Math.min(-0.1, ...ends) : 0, high = Math.max(around_one ? 0.1 : 0, ...ends);
  const margin = (high - low) * 0.04;
  const values = around_one
    ? { splits: (u) => fitting(u, low, high), values: (u, ticks) => ticks.map((tick) => short(2 ** tick)) }
    : { values: (u, ticks) => ticks.map(short) };
  return {
    scales: {
      x: { time: false, ori: 1, dir: -1, range: [-0.62, spec.bars.length - 0.38] },
      y: { ori: 0, range: [around_one ? low - margin : 0, high + margin] },
    },
    series: [{}, { paths: () => null, points: { show: false } }],
    axes: [{ show: false }, axis({ side: 2, label: spec.x_label, labelSize: 22, size: 28, space: 56, ...values })],
    legend: { show: false }, cursor: { show: false }, padding: [0, 16, 0, 10],
    hooks: { draw: [(u) => rows(u, spec, place, around_one)] },
  };
}

// Ticks that are at least 48 px apart; 1 is always among them.
function fitting(u, low, high) {
  const px = u.width / (high - low), kept = [0];
  for (const ratio of RATIOS) {
    const at = Math.log2(ratio);
    if (at >= low && at <= high && kept.every((other) => Math.abs(other - at) * px >= 48)) kept.push(at);
  }
  return kept.sort((a, b) => a - b);
}

function rows(u, spec, place, around_one) {
  const { ctx } = u, scale = uPlot.pxRatio, left = u.bbox.left, right = left + u.bbox.width;
  ctx.save();
  if (around_one) {
    ctx.strokeStyle = style("--muted");
    ctx.lineWidth = scale;
    stroke(ctx, u.valToPos(0, "y", true), u.bbox.top, u.valToPos(0, "y", true), u.bbox.top + u.bbox.height);
  }
  spec.bars.forEach((bar, at) => {
    const middle = u.valToPos(at, "x", true) + 8 * scale, tip = u.valToPos(place(bar.value), "y", true);
    const colour = bar.own ? style("--accent") : style("--other");
    label(ctx, bar, left, right, middle - 12 * scale, scale);
    ctx.fillStyle = colour;
    if (around_one) {
      ctx.beginPath();
      ctx.arc(tip, middle, 4.5 * scale, 0, 2 * Math.PI);
      ctx.fill();
    } else {
      ctx.fillRect(left, middle - 6 * scale, tip - left, 12 * scale);
    }
    ctx.strokeStyle = around_one ? colour : style("--ink");
    ctx.lineWidth = 1.5 * scale;
    stroke(ctx, u.valToPos(place(bar.low), "y", true), middle, u.valToPos(place(bar.high), "y", true), middle);
  });
  ctx.restore();
}

// The label gives way to the value: it ends in an ellipsis where both do not fit.
function label(ctx, bar, left, right, y, scale) {
  ctx.textBaseline = "alphabetic";
  ctx.font = "600 " + font(12.5);
  ctx.textAlign = "right";
  ctx.fillStyle = style("--ink");
  ctx.fillText(bar.text, right, y);
  const room = right - left - ctx.measureText(bar.text).width - 12 * scale;
  ctx.font = font(12.5);
  ctx.textAlign = "left";
  let text = bar.label;
  while (ctx.measureText(text).width > room && text.length > 4) text = text.slice(0, -2).trimEnd() + "…";
  ctx.fillStyle = style("--paper"); // no grid line through the words
  ctx.fillRect(left, y - 12 * scale, ctx.measureText(text).width + 4 * scale, 15 * scale);
  ctx.fillStyle = style("--ink");
  ctx.fillText(text, left, y);
}

function draw(place) {
  const spec = specs[place.id], readout = place.parentElement.querySelector(".readout");
  place.replaceChildren();
  const is_lines = spec.form === "lines";
  const height = is_lines ? 300 : spec.bars.length * ROW_PX + 62;
  const data = is_lines ? [spec.x, ...spec.lines.map((line) => line.y)]
                        : [spec.bars.map((_, at) => at), spec.bars.map((bar) => bar.value)];
  const options = is_lines ? lines_options(spec, readout) : rows_options(spec);
  const chart = new uPlot({ ...options, width: place.clientWidth, height }, data, place);
  place.dataset.drawn = "yes";
  return chart;
}

for (const place of document.querySelectorAll(".chart")) {
  let chart = draw(place);
  new ResizeObserver(() => {
    const width = place.clientWidth;
    if (width && width !== chart.width) chart.setSize({ width, height: chart.height });
  }).observe(place);
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", () => { chart.destroy(); chart = draw(place); });
  }
}
