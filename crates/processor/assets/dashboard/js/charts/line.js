// A chart of lines over time, with a legend that says the newest values and a table for those who do not see it.

import uPlot from "../../vendor/uplot/uPlot.esm.js";
import { h, onResize, say } from "../dom.js";
import { instant, time } from "../format.js";

const TABLE_ROWS = 12;
/** More than so many would hide the line. */
const MAX_POINTS = 36;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function axis(size, more) {
  return {
    stroke: () => colour("--muted"), size, gap: 6, font: `11px ${colour("--sans")}`,
    grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { show: false }, ...more,
  };
}

/** Ticks at whole minutes and seconds, as the clock of the viewer shows them. */
const clockTicks = (_, ticks) => ticks.map((tick) => {
  const text = instant(tick * 1_000);
  return tick % 60 === 0 ? text.replace(/:00$/, "") : text;
});

export class LineChart {
  #plot = null;
  #box = h("div", { class: "plot" });
  #empty = h("div", { class: "empty" }, "Waiting for numbers…");
  #values;
  #labels;
  #body = h("tbody");
  #details;
  #series;
  #format;
  #data = null;
  #range = null;
  #size = null;

  /** `series`: [{ label, fill? }], at most three; `format`: a value as text. */
  constructor(root, { name, series, format, store, high = false }) {
    [this.#series, this.#format] = [series, format];
    this.#box.classList.toggle("high", high);
    this.#values = series.map(() => h("b", null, "–"));
    this.#labels = series.map(({ label }) => [h("span", null, label), h("th", { scope: "col", class: "number" }, label)]);
    const legend = h("ul", { class: "legend" }, series.map((_, i) => h("li", { class: `s${i + 1}` }, this.#labels[i][0], this.#values[i])));
    const head = h("tr", null, h("th", { scope: "col" }, "Time"), this.#labels.map(([, column]) => column));
    this.#details = h("details", { class: "table", ontoggle: () => this.#drawTable() },
      h("summary", null, "As a table"),
      h("div", { tabindex: "0", role: "region", "aria-label": `${name}, newest values` }, h("table", null, h("caption", { class: "quiet" }, `${name}, newest first`), h("thead", null, head), this.#body)));
    this.#box.append(this.#empty);
    root.replaceChildren(h("div", { role: "img", "aria-label": `Chart of ${name}; the values are below it` }, this.#box), legend, this.#details);
    onResize(this.#box, (width, height) => this.#resize(width, height));
    store.view(["theme"], () => this.#plot?.redraw(false, true));
  }

  /** `data`: [seconds, …one list per series]; `range`: [from, to] in seconds, else all of it. */
  show(data, range = null) {
    [this.#data, this.#range] = [data, range];
    const known = data.slice(1).some((column) => column.some((value) => value !== null && value !== undefined));
    this.#empty.hidden = known;
    if (known && !this.#plot && this.#size) this.#create();
    this.#plot?.setData(data, true);
    this.#values.forEach((value, i) => say(value, this.#format(data[i + 1]?.findLast((of) => of !== null && of !== undefined))));
    this.#drawTable();
  }

  /** Names the series anew. */
  name(labels) {
    this.#labels.forEach((places, i) => places.forEach((place) => say(place, labels[i] ?? "–")));
  }

  /** Says why there is nothing to see. */
  empty(why) {
    say(this.#empty, why);
  }

  #resize(width, height) {
    this.#size = { width, height };
    if (width === 0) return;
    if (this.#plot) this.#plot.setSize(this.#size);
    else if (this.#data && this.#empty.hidden) this.#create();
  }

  #create() {
    const lines = this.#series.map(({ fill, points }, i) => ({
      stroke: () => colour(`--series-${i + 1}`), width: 1.6, spanGaps: false,
      fill: fill ? () => colour("--fill-1") : undefined, points: { show: points ? (plot) => plot.data[0].length <= MAX_POINTS : false, size: 4 },
    }));
    const zero = (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.12 : 1];
    const options = {
      ...this.#size, padding: [8, 24, 0, 0], legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 7 }, y: false },
      scales: { x: { range: (_, low, high) => this.#range ?? (low === high ? [low - 30, high + 30] : [low, high]) }, y: { range: zero } },
      axes: [axis(26, { space: 52, values: clockTicks }), axis(52, { space: 36, values: (_, ticks) => ticks.map((tick) => this.#format(tick).replace(/\.0(?= |$)/, "")) })],
      series: [{}, ...lines],
      hooks: { setCursor: [(plot) => this.#point(plot)] },
    };
    this.#plot = new uPlot(options, this.#data, this.#box);
  }

  /** While something is pointed at, the legend says its values. */
  #point(plot) {
    const at = plot.cursor.idx;
    this.#values.forEach((value, i) => {
      const column = this.#data[i + 1] ?? [];
      say(value, this.#format(at === null || at === undefined ? column.findLast((of) => of !== null) : column[at]));
    });
  }

  #drawTable() {
    if (!this.#details.open || !this.#data) return;
    const [times, ...columns] = this.#data;
    const rows = [];
    for (let i = times.length - 1; i >= 0 && rows.length < TABLE_ROWS; i -= 1) {
      rows.push(h("tr", null, h("td", null, time(times[i] * 1_000)), columns.map((column) => h("td", { class: "number" }, this.#format(column[i])))));
    }
    this.#body.replaceChildren(...rows);
  }
}
