// The first line: what one looks at to know whether all is well.

import { spark } from "../charts/spark.js";
import { byId, h, mark, say } from "../dom.js";
import { bytes, compact, count, plural, rate, spanParts } from "../format.js";
import { chosenPipeline } from "../store.js";

const SPARK_POINTS = 90;

/** Mean of the newest values: a rate of a single second jumps. */
function lately(column, over = 3) {
  const known = (column ?? []).slice(-over).filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : undefined;
}

function lagTone(pipeline) {
  if (pipeline?.watermark_lag_ms === null || pipeline?.watermark_lag_ms === undefined) return "";
  return pipeline.watermark_lag_ms > 600_000 ? "warn" : "";
}

/** [label, what of] → { value, unit, aside, column, tone } */
const TILES = [
  ["Accepted", ({ of, pipeline }) => ({
    value: rate(lately(of?.accepted_per_sec)), unit: "/s", aside: pipeline && `${count(pipeline.accepted)} events in all`, column: of?.accepted_per_sec,
  })],
  ["Results", ({ of, pipeline }) => ({
    value: rate(lately(of?.results_per_sec, 10)), unit: "/s", aside: pipeline && `${count(pipeline.results_emitted)} in all`, column: of?.results_per_sec,
  })],
  ["Event to result, p99", ({ history }) => {
    const latency = history?.latency_ms.event_to_result;
    const [value, unit] = spanParts(latency?.p99.at(-1) ?? undefined);
    return { value, unit, aside: history && (latency ? "of the last minute" : "metrics are off"), column: latency?.p99 };
  }],
  ["Watermark lag", ({ of, pipeline }) => {
    const [value, unit] = spanParts(pipeline?.watermark_lag_ms ?? undefined);
    const holders = pipeline?.partitions.filter(({ holds_watermark }) => holds_watermark).length ?? 0;
    const aside = pipeline?.watermark_ms === null ? "no event yet" : `${plural(holders, "partition")} hold${holders === 1 ? "s" : ""} it`;
    return { value, unit, aside: pipeline && aside, column: of?.watermark_lag_ms, tone: lagTone(pipeline) };
  }],
  ["Late", ({ of, pipeline }) => ({
    series: 2,
    value: compact(pipeline?.late_dropped), aside: pipeline && `${rate(lately(of?.late_per_sec, 60))}/s lately`,
    column: of?.late_per_sec,
  })],
  ["Dead letters", ({ of, pipeline }) => ({
    series: 3,
    value: compact(pipeline?.dead_lettered), aside: pipeline && `${rate(lately(of?.dead_letters_per_sec, 60))}/s lately`,
    column: of?.dead_letters_per_sec,
  })],
  ["Keys", ({ pipeline }) => ({
    value: compact(pipeline?.keys), aside: pipeline && plural(pipeline.open_windows, "open window"),
  })],
  ["Outbox", ({ history, metrics }) => {
    const waiting = history?.outbox_bytes.at(-1);
    const [value, unit] = bytes(waiting ?? undefined).split(" ");
    const most = metrics?.value("processor_outbox_max_bytes");
    return { value, unit, aside: most > 0 ? `of ${bytes(most)}, for sinks` : history && "none is needed", column: history?.outbox_bytes };
  }],
];

function tile(label) {
  const trend = spark();
  const [number, unit] = [h("span", null, "–"), h("small")];
  const aside = h("dd", { class: "aside" });
  const root = h("div", { class: "tile" }, h("dt", null, label), h("dd", { class: "number" }, number, unit), aside, h("dd", { class: "spark" }, trend.root));
  return {
    root,
    show({ value, unit: of, aside: more, column, tone, series }) {
      say(number, value);
      say(unit, value === "–" ? "" : of ?? "");
      say(aside, more ?? "");
      mark(root, "data-tone", tone || null);
      mark(trend.root, "data-series", series ?? null);
      trend.draw((column ?? []).slice(-SPARK_POINTS));
    },
  };
}

export function tiles(store) {
  const all = TILES.map(([label, what]) => ({ ...tile(label), what }));
  byId("tiles").replaceChildren(...all.map(({ root }) => root));
  store.view(["run", "history", "pipeline", "metrics"], (state) => {
    const pipeline = chosenPipeline(state);
    const of = state.history?.pipelines.find(({ name }) => name === pipeline?.name);
    const known = { pipeline, of, history: state.history, metrics: state.metrics?.found };
    for (const { show, what } of all) show(what(known));
  });
}
