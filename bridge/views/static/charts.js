// Draws the chart of each figure from the table in it, by Observable Plot. The table is the one source of what is drawn,
// its alternative in text, and all there is without scripts. Shapes, line styles and words say what colours say.
"use strict";

const COLOUR = Object.fromEntries(["ink", "soft", "rule", "mark", "fill", "paper"].map((name) => [name, `var(--${name})`]));
const NARROW = 600; // pixels; below, labels are shorter
const HALF_WEEK = 3.5 * 24 * 3600 * 1000;
const TICKS = 6;
const LABEL_ROWS = 3; // of waves near each other

// --- what stands in a table: for each row the numbers and texts of its cells, by the fields that the header names

function rowsOf(table) {
  const fields = [...table.tHead.querySelectorAll("[data-field]")].map((cell) => [cell.dataset.field, cell.cellIndex]);
  return [...table.tBodies[0].rows].map((row, at) => {
    const found = { ...row.dataset, at, text: {} };
    for (const [field, place] of fields) {
      const { value } = row.cells[place].dataset;
      found[field] = value ? Number(value) : NaN;
      found.text[field] = row.cells[place].textContent.trim();
    }
    return found;
  });
}

const isKnown = (field) => (row) => Number.isFinite(row[field]);
const plain = (value) => `${Number(value.toPrecision(6))}`.replace("-", "\u2212");
const signed = (value) => (value > 0 ? "+" : "") + plain(value);
const unitOf = ({ unit }) => (unit ? ` ${unit}` : "");

// --- the kinds of charts; each gives what Plot is to draw, and what is said of a row

// The change by weeks since training: points with intervals, the band for all of them, the line of no change.
function effect(rows, figure, width, rem) {
  const wide = width >= NARROW;
  const drawn = rows.filter(isKnown("low"));
  const chosen = rows.filter((row) => row.chosen);
  const before = rows.filter((row) => row.end < 0).length;
  const line = { stroke: COLOUR.ink, strokeWidth: 1.5 };
  const cap = (row, side) => row.at + side * (wide ? 0.1 : 0.2);
  const caps = (end) => Plot.ruleY(drawn, { y: end, x1: (row) => cap(row, -1), x2: (row) => cap(row, 1), ...line });
  const label = (at) => [wide ? rows[at].weeks : rows[at].start, `${wide ? "n = " : ""}${rows[at].text.people}`].join("\n").replaceAll("-", "\u2212");
  const window = { x1: chosen[0]?.at - 0.5, x2: chosen.at(-1)?.at + 0.5 };
  return {
    title: `Change${figure.unit ? `, ${figure.unit}` : ""}`,
    foot: wide ? "Weeks since training" : "First week of each span, since training; below it the number of people",
    first: before < rows.length ? before : 0,
    place: (row) => row.at,
    say: ({ text, weeks, chosen: then, hidden, low }) => `Weeks ${weeks}${then ? ", in which people were chosen" : ""}: ${
      hidden ? "hidden, too few people." : isNaN(low) ? "no estimate."
        : `${text.estimate}${unitOf(figure)}, 95 % interval ${text.low} to ${text.high}; ${text.people} people.`}`,
    height: 21 * rem,
    marginBottom: 2.9 * rem,
    x: { domain: [-0.5, rows.length - 0.5] },
    y: { nice: true, zero: true },
    marks: [
      Plot.gridY({ ticks: TICKS, stroke: COLOUR.rule, strokeOpacity: 1 }),
      Plot.axisY({ label: null, tickSize: 0, tickFormat: signed, ticks: TICKS }),
      Plot.axisX({ label: null, tickSize: 0, ticks: rows.map((row) => row.at), tickFormat: label, lineHeight: 1.3 }),
      chosen.length && Plot.rect([window], { x1: "x1", x2: "x2", fill: "none", stroke: COLOUR.soft, strokeDasharray: "2 3", inset: 1, className: "window" }),
      chosen.length && Plot.text(["people\nchosen"], { x: (window.x1 + window.x2) / 2, frameAnchor: "bottom", dy: -6, fill: COLOUR.soft, text: (words) => words }),
      Plot.areaY(rows, { x: "at", y1: "band_low", y2: "band_high", fill: COLOUR.fill, className: "band" }),
      Plot.ruleY([0], { ...line, className: "zero" }),
      before > 0 && before < rows.length && [
        Plot.ruleX([before - 0.5], { stroke: COLOUR.ink, strokeDasharray: "4 4", className: "training" }),
        Plot.text(["training"], { x: before - 0.5, frameAnchor: "top", textAnchor: "start", dx: 4, dy: 2, fill: COLOUR.soft, text: (words) => words }),
      ],
      caps("low"), caps("high"),
      Plot.ruleX(drawn, { x: "at", y1: "low", y2: "high", ...line, className: "intervals" }),
      Plot.dot(drawn.filter((row) => row.end < 0), { x: "at", y: "estimate", symbol: "square", r: 5, fill: COLOUR.paper, stroke: COLOUR.ink, strokeWidth: 2, className: "before" }),
      Plot.dot(drawn.filter((row) => row.end >= 0), { x: "at", y: "estimate", symbol: "circle", r: 5, fill: COLOUR.mark, stroke: COLOUR.paper, className: "since" }),
      Plot.text(rows.filter((row) => !drawn.includes(row)), { x: "at", frameAnchor: "middle", rotate: -90, fill: COLOUR.soft, text: (row) => (row.hidden ? "hidden" : "no estimate") }),
      Plot.ruleX(rows, Plot.pointerX({ x: "at", stroke: COLOUR.ink, maxRadius: Infinity, className: "pointed" })),
    ],
  };
}

// The trained by week as they did, and as they were predicted to do without training. A hidden week leaves a gap.
function trend(rows, figure, width, rem) {
  const day = (row) => new Date(`${row.week}T00:00Z`);
  const begin = (row) => new Date(day(row) - HALF_WEEK); // between the last week without them and the first with them
  const waves = rows.filter((row) => row.trained);
  const every = Math.ceil(rows.length / Math.min(8, Math.floor(width / (5 * rem))));
  const marksOf = (field) => ({ x: day, y: field, className: field });
  const words = waves.map((_, at) => at).slice(0, LABEL_ROWS).map((turn) =>
    Plot.text(waves.filter((_, at) => at % LABEL_ROWS === turn), { x: begin, frameAnchor: "top", textAnchor: "start", dx: 3, dy: 2 + turn * rem, fill: COLOUR.soft, stroke: COLOUR.paper, strokeWidth: 4,
      text: (row) => (width < NARROW ? row.trained : `${row.trained} trained`) }));
  return {
    title: `${figure.title}${figure.unit ? `, ${figure.unit}` : ""}`,
    foot: "Week from",
    first: rows.length - 1,
    place: day,
    say: ({ text, week, trained }) => `Week from ${week}: as it was ${text.observed}, without training ${text.predicted}${
      unitOf(figure)}; ${text.people} people${trained ? `, ${trained} trained in it` : ""}.`,
    height: 21 * rem,
    marginBottom: 2.9 * rem,
    x: { type: "utc", inset: 8 },
    y: { nice: true, insetTop: (LABEL_ROWS + 0.5) * rem },
    marks: [
      Plot.gridY({ ticks: TICKS, stroke: COLOUR.rule, strokeOpacity: 1 }),
      Plot.axisY({ label: null, tickSize: 0, tickFormat: plain, ticks: TICKS }),
      Plot.axisX({ label: null, ticks: rows.filter((_, at) => at % every === 0).map(day), tickFormat: d3.utcFormat("%-d %b\n%Y"), lineHeight: 1.3 }),
      Plot.ruleX(waves, { x: begin, stroke: COLOUR.ink, strokeDasharray: "4 4", className: "waves" }),
      words,
      Plot.lineY(rows, { ...marksOf("predicted"), stroke: COLOUR.ink, strokeWidth: 1.5, strokeDasharray: "6 3" }),
      Plot.lineY(rows, { ...marksOf("observed"), stroke: COLOUR.mark, strokeWidth: 2 }),
      Plot.dot(rows.filter(isKnown("predicted")), { ...marksOf("predicted"), className: "predicted-marks", symbol: "square", r: 3, fill: COLOUR.paper, stroke: COLOUR.ink }),
      Plot.dot(rows.filter(isKnown("observed")), { ...marksOf("observed"), className: "observed-marks", symbol: "circle", r: 3, fill: COLOUR.mark }),
      Plot.ruleX(rows, Plot.pointerX({ x: day, stroke: COLOUR.ink, maxRadius: Infinity, className: "pointed" })),
    ],
  };
}

// How many people of each skill are in each state: one bar of parts for each row.
function states(rows, figure, width, rem) {
  return bars(rem, rows.map((row) => {
    const { ready, not_yet: notYet, unknown } = row;
    const ends = [0, ready, ready + notYet, ready + notYet + unknown].map((sum, _, all) => sum / all.at(-1));
    const fills = ["mark", "fill", "paper"];
    return { words: row.title, parts: fills.map((fill, at) => ({ fill, x1: ends[at], x2: ends[at + 1], text: [ready, notYet, unknown][at] })) };
  }));
}

// Each measure before and since: two bars on its own scale, with their figures above.
function pairs(rows, figure, width, rem) {
  return bars(rem, rows.flatMap((row) => {
    const most = Math.max(...["before", "since"].map((field) => Math.abs(row[field]) || 0)) || 1;
    return ["before", "since"].map((field) => ({
      words: `${row.title}, ${field}: ${row.text[field]} (cases: ${row.text[`${field}_count`]})`,
      parts: isKnown(field)(row) ? [{ fill: field === "since" ? "mark" : "paper", x1: 0, x2: Math.abs(row[field]) / most }] : [],
    }));
  }));
}

function bars(rem, found) {
  const row = 3 * rem;
  const parts = found.flatMap(({ parts: some }, y) => some.map((part) => ({ ...part, y }))).filter(({ x1, x2 }) => x2 > x1);
  const ofFill = (fill, options) => Plot.rect(parts.filter((part) => part.fill === fill), {
    x1: "x1", x2: "x2", y1: (part) => part.y + 0.45, y2: (part) => part.y + 0.9, fill: COLOUR[fill], stroke: COLOUR.ink, strokeWidth: 1.5, className: fill, ...options });
  return {
    height: row * found.length,
    marginTop: 0,
    marginBottom: 2,
    marginLeft: 2,
    marginRight: 2,
    x: { domain: [0, 1] },
    y: { domain: [found.length, 0] },
    marks: [
      Plot.text(found, { x: 0, y: (_, at) => at + 0.25, text: "words", textAnchor: "start", fill: COLOUR.ink }),
      ofFill("mark"), ofFill("fill", { strokeDasharray: "3 3" }), ofFill("paper"),
      Plot.text(parts.filter((part) => part.text), { x: (part) => (part.x1 + part.x2) / 2, y: (part) => part.y + 0.68, text: "text", fill: (part) => (part.fill === "mark" ? COLOUR.paper : COLOUR.ink) }),
    ],
  };
}

const KINDS = { effect, trend, states, pairs };

// --- a figure: the chart above its table; a slider reads the values off, as a pointer on the chart does

function draw(figure) {
  const rows = rowsOf(figure.querySelector("table"));
  const holder = figure.insertBefore(document.createElement("div"), figure.firstChild);
  let width = 0;
  let point = () => {};
  const reader = "read" in figure.dataset ? readerOf(figure, rows, (at) => point(at)) : null;
  const redraw = () => {
    if (holder.clientWidth === width) return;
    width = holder.clientWidth;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const { title, foot, first, place, say, ...options } = KINDS[figure.dataset.chart](rows, figure.dataset, width, rem);
    const chart = Plot.plot({
      axis: null, marginLeft: 3.6 * rem, marginRight: 0.5 * rem, marginTop: 0.6 * rem, ...options,
      width, className: "plot", ariaLabel: figure.dataset.about,
    });
    chart.setAttribute("role", "img");
    for (const part of chart.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label"); // one picture, one name
    holder.replaceChildren(...[words(title, "axis"), chart, words(foot, "axis middle")].filter(Boolean));
    if (!reader) return;
    reader.takes(first, say);
    chart.addEventListener("input", () => chart.value && reader.shows(chart.value.at));
    point = (at) => {
      const box = chart.getBoundingClientRect();
      const clientX = box.left + (chart.scale("x").apply(place(rows[at])) * box.width) / width;
      chart.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY: box.top + box.height / 2 }));
    };
  };
  redraw();
  new ResizeObserver(redraw).observe(holder);
  figure.querySelector("details")?.removeAttribute("open");
}

function words(text, className) {
  if (!text) return null;
  const made = document.createElement("p");
  made.className = className;
  made.textContent = text;
  return made;
}

function readerOf(figure, rows, point) {
  const label = document.createElement("label");
  const slider = document.createElement("input");
  const said = words(" ", "said");
  let say = null;
  Object.assign(slider, { type: "range", min: 0, max: rows.length - 1 });
  label.className = "reader";
  label.append("Read off", slider);
  figure.firstElementChild.after(label, said);
  const shows = (at) => {
    slider.value = at;
    said.textContent = say(rows[at]);
    slider.setAttribute("aria-valuetext", said.textContent);
  };
  slider.addEventListener("input", () => point(slider.valueAsNumber));
  return {
    shows,
    takes: (first, words) => {
      const at = say ? slider.valueAsNumber : first;
      say = words;
      shows(at);
    },
  };
}

for (const figure of document.querySelectorAll("figure[data-chart]")) draw(figure);
