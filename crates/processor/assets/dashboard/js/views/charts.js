// The charts of the run: throughput, latency, watermark lag.

import { LineChart } from "../charts/line.js";
import { byId } from "../dom.js";
import { amount, span } from "../format.js";
import { chosenPipeline } from "../store.js";

const seconds = (history) => history.at_ms.map((ms) => ms / 1_000);

const numbers = (column, length) => column ?? Array(length).fill(null);

export function charts(store) {
  const throughput = new LineChart(byId("throughput"), {
    name: "throughput", format: amount, store, series: [{ label: "accepted", fill: true }, { label: "late" }, { label: "dead letters" }],
  });
  const latency = new LineChart(byId("latency"), {
    name: "latency", format: span, store, series: [{ label: "p50" }, { label: "p95" }, { label: "p99" }],
  });
  const lag = new LineChart(byId("lag"), { name: "watermark lag", format: span, store, series: [{ label: "lag", fill: true }] });
  byId("stage").addEventListener("change", ({ target }) => store.set({ stage: target.value }));

  store.view(["history", "pipeline", "rangeSecs", "stage"], (state) => {
    const { history, rangeSecs, stage } = state;
    if (!history || history.at_ms.length === 0) return;
    const at = seconds(history);
    // A young run fills the chart with what there is, at least a minute.
    const range = [Math.max(at.at(-1) - rangeSecs, Math.min(at[0], at.at(-1) - 60)), at.at(-1)];
    const name = chosenPipeline(state)?.name;
    const of = history.pipelines.find((pipeline) => pipeline.name === name) ?? {};
    const column = (values) => numbers(values, at.length);
    throughput.show([at, column(of.accepted_per_sec), column(of.late_per_sec), column(of.dead_letters_per_sec)], range);
    lag.show([at, column(of.watermark_lag_ms)], range);
    const quantiles = history.latency_ms[stage] ?? {};
    latency.empty(history.latency_ms[stage] ? "Nothing was measured yet" : "Metrics are off (metrics.enabled: false)");
    latency.show([at, column(quantiles.p50), column(quantiles.p95), column(quantiles.p99)], range);
  });
}
