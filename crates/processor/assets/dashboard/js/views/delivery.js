// Commits, sinks with what waits for them, checkpoints.

import { byId, emptyState, h, redraw, say } from "../dom.js";
import { bytes, count, plural, span, time } from "../format.js";
import { chosenPipeline } from "../store.js";

function facts(run, history, metrics) {
  const quantiles = history?.latency_ms.commit;
  const value = (name, labels) => metrics?.value(name, labels);
  const age = run.last_commit_ms === null ? undefined : run.at_ms - run.last_commit_ms;
  return [
    ["Acknowledged", count(run.commits)],
    ["Newest", run.last_commit_ms === null ? "none yet" : `${span(Math.max(0, age))} ago`],
    ["Duration p50 / p95 / p99", quantiles ? ["p50", "p95", "p99"].map((q) => span(quantiles[q].at(-1) ?? undefined)).join(" / ") : "–"],
    ["Tried again", count(value("processor_commit_retries_total"))],
    ["Errors of commits, sinks", [value("processor_errors_total", { stage: "commit" }), value("processor_errors_total", { stage: "sink" })].map((n) => count(n ?? (metrics ? 0 : undefined))).join(", ")],
    ["State in memory", bytes(run.pipelines.reduce((sum, { state_bytes }) => sum + state_bytes, 0))],
    ["Store on disk", bytes(value("processor_store_bytes"))],
    ["Memory of the process", bytes(value("processor_process_resident_memory_bytes"))],
  ];
}

function commits(store) {
  const root = byId("commits");
  store.view(["run", "history", "metrics"], ({ run, history, metrics }) => {
    if (!run || run.at_ms === 0) return redraw(root, "loading", () => h("div", null, h("dt", null, "Commits"), h("dd", null, "none yet")));
    const all = facts(run, history, metrics?.found);
    say(byId("commit-note"), metrics?.absent ? "metrics are off: retries, errors and sizes are not known" : "");
    return redraw(root, all, () => all.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
  });
}

const nameOf = ({ kind, name }) => [kind, name].filter(Boolean).join(" ");

function sinks(store) {
  const root = byId("sinks");
  store.view(["topology", "metrics", "history", "run", "pipeline"], (state) => {
    const pipeline = chosenPipeline(state);
    const parts = state.topology?.pipelines.find(({ name }) => name === pipeline?.name);
    if (!parts) return undefined;
    const metrics = state.metrics?.found;
    const [waiting, most] = [state.history?.outbox_bytes.at(-1), metrics?.value("processor_outbox_max_bytes")];
    const retries = metrics?.all("processor_sink_retries_total") ?? [];
    const listed = [...parts.sinks.map((sink) => [nameOf(sink), "results"]), ...side(parts.late, "late events"), ...side(parts.dead_letter, "dead letters")];
    return redraw(root, [listed, waiting, most, retries], () => [outbox(waiting, most), table(listed), ...tried(retries)]);
  });
}

const side = (place, what) => (place ? [[nameOf(place), what]] : []);

function outbox(waiting, most) {
  const bar = h("i");
  const share = most > 0 ? Math.min(1, (waiting ?? 0) / most) : 0;
  // Through the object model: the page's policy allows no style in markup.
  bar.style.transform = `scaleX(${share})`;
  const text = most > 0 ? `Outbox: ${bytes(waiting ?? undefined)} of ${bytes(most)} (${(share * 100).toFixed(1)} %)` : "Outbox: none; results go straight to the sinks, or through Kafka";
  return [h("p", { class: "note" }, text), h("div", { class: "meter", "aria-hidden": "true" }, bar)];
}

function table(listed) {
  const head = h("tr", null, h("th", { scope: "col" }, "Place"), h("th", { scope: "col" }, "Takes"));
  const rows = listed.map(([place, what]) => h("tr", null, h("td", { title: place }, place), h("td", null, what)));
  return h("table", null, h("caption", { class: "quiet" }, "Where results and side records go"), h("thead", null, head), h("tbody", null, rows));
}

function tried(retries) {
  const some = retries.filter(({ value }) => value > 0);
  return some.map(({ labels, value }) => h("p", { class: "note" }, `${labels.sink}: tried again ${plural(value, "time")}`));
}

function checkpoints(store) {
  const root = byId("checkpoints");
  store.view(["checkpoints"], ({ checkpoints: kept }) => redraw(root, kept ?? null, () => {
    if (!kept) return emptyState("Loading…");
    if (kept.absent) return emptyState("No checkpoints are kept here", kept.absent);
    if (kept.found.length === 0) return emptyState("No checkpoint yet", "The first is kept after state.checkpoint_interval_secs.");
    const head = h("tr", null, ["Id", "Kind", "Kept", "Rows", "Size"].map((title, i) => h("th", { scope: "col", class: i > 2 ? "number" : null }, title)));
    const rows = [...kept.found].reverse().map(checkpoint);
    return h("table", null, h("caption", { class: "quiet" }, "Checkpoints, the newest first"), h("thead", null, head), h("tbody", null, rows));
  }));
}

function checkpoint(one) {
  if (one.problem) return h("tr", null, h("td", null, String(one.id)), h("td", { colspan: "4", title: one.problem }, h("span", { class: "badge bad" }, one.problem)));
  const sum = (parts, name) => Object.values(parts ?? {}).reduce((all, part) => all + part[name], 0);
  return h("tr", null, h("td", null, String(one.id)), h("td", null, one.kind ?? ""), h("td", { class: "time" }, time(Date.parse(one.created))),
    h("td", { class: "number" }, count(sum(one.tables, "rows"))), h("td", { class: "number" }, bytes(sum(one.files, "bytes"))));
}

export function delivery(store) {
  commits(store);
  sinks(store);
  checkpoints(store);
}
