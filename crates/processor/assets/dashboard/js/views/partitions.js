// Where each partition stands, and which of them the watermark waits for.

import { byId, emptyState, h, redraw, say } from "../dom.js";
import { count, plural, span, time, instant } from "../format.js";
import { chosenPipeline } from "../store.js";

const SHOWN = 500;

function badges(partition) {
  const found = [];
  if (partition.holds_watermark) found.push(["accent", "holds watermark"]);
  if (partition.is_paused) found.push(["warn", "paused"]);
  if (partition.is_idle) found.push(["", "idle"]);
  if (partition.watermark_ms === null && !partition.is_idle) found.push(["warn", "no event yet"]);
  if (found.length === 0) found.push(["good", "ahead"]);
  return found.map(([tone, word]) => h("span", { class: `badge ${tone}` }, word));
}

const EXPLAINED = "The watermark waits for partitions that hold it; idle ones hold nothing; paused ones wait for slower ones.";

function row(partition) {
  const number = (value) => h("td", { class: "number" }, count(value ?? undefined));
  return h("tr", null,
    h("td", { title: partition.name }, `${partition.name}`), h("td", { class: "number" }, String(partition.partition)),
    h("td", null, badges(partition)), h("td", { class: "time" }, time(partition.watermark_ms)),
    h("td", { class: "number" }, span(partition.watermark_lag_ms ?? undefined)),
    number(partition.position), number(partition.end), number(partition.lag_records));
}

function table(partitions) {
  const heads = [["Source"], ["Partition", 1], ["State"], ["Watermark"], ["Behind clock", 1], ["Position", 1], ["End", 1], ["Lag, records", 1]];
  const head = heads.map(([title, number]) => h("th", { scope: "col", class: number ? "number" : null }, title));
  return h("table", null, h("caption", { class: "quiet" }, EXPLAINED), h("thead", null, h("tr", null, head)), h("tbody", null, partitions.slice(0, SHOWN).map(row)));
}

export function partitions(store) {
  const root = byId("partition-table");
  store.view(["run", "pipeline"], (state) => {
    const pipeline = chosenPipeline(state);
    if (!pipeline) return redraw(root, "none", () => emptyState(state.run ? "The run has not begun to read yet" : "Loading…"));
    const all = pipeline.partitions;
    say(byId("watermark-note"), note(pipeline));
    return redraw(root, [pipeline.name, all], () => (all.length ? table(all) : emptyState("No partition is read", "None is assigned yet, or the input is absent.")));
  });
}

function note({ watermark_ms, partitions: all }) {
  const idle = all.filter(({ is_idle }) => is_idle).length;
  const paused = all.filter(({ is_paused }) => is_paused).length;
  const parts = [watermark_ms === null ? "no watermark before the first event" : `watermark ${instant(watermark_ms)}`, plural(all.length, "partition")];
  if (idle) parts.push(`${idle} idle`);
  if (paused) parts.push(`${paused} paused`);
  if (all.length > SHOWN) parts.push(`the first ${SHOWN} are shown`);
  return parts.join(" · ");
}
