// Whether the run is well, and every reason why not.

import { byId, emptyState, h, redraw } from "../dom.js";
import { bytes, count, span } from "../format.js";

const STALE_MS = 4_000;

function reasons({ health, run, pictureAt, connection }) {
  if (connection.state === "lost") {
    return [{ part: "connection", reason: "The processor does not answer. What is shown is from before.", tone: "bad", said: "lost", since: "now" }];
  }
  const found = health.reasons.map(({ part, reason, since_secs, blocks }) => ({
    part, reason, tone: blocks ? "bad" : "warn", said: blocks ? "not ready" : "tried again", since: span(Math.floor(since_secs) * 1_000),
  }));
  const age = pictureAt ? performance.now() - pictureAt : 0;
  if (run?.at_ms > 0 && age > STALE_MS) {
    const reason = "The worker has not said anything lately: it waits for a sink or a commit, or reads state back.";
    found.push({ part: "worker", reason, tone: "warn", said: "silent", since: span(Math.floor(age / 1_000) * 1_000) });
  }
  if (run?.is_paused) {
    found.push({ part: "input", reason: "Input is held back, because a commit is full or state is read back.", tone: "warn", said: "held back", since: "now" });
  }
  return found;
}

const reasonOf = ({ part, reason, tone, said, since }) =>
  h("div", { class: "reason" }, h("span", { class: `badge ${tone}` }, `${part}: ${said}`), h("span", { class: "badge" }, since), h("p", null, reason));

const WELL = h("p", { class: "well" }, h("i", { "aria-hidden": "true" }), "All parts are well");

const fact = ([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value));

function facts({ health, run, metrics }) {
  const value = (name) => metrics?.found?.value(name);
  const commit = run?.last_commit_ms ? `${span(Math.max(0, run.at_ms - run.last_commit_ms))} ago` : "none yet";
  return [
    ["State read back", health.started ? "yes" : "not yet"],
    ["Input", run?.is_paused ? "held back" : "flows"],
    ["Newest commit", commit],
    ["Recoveries, rebalances", `${count(value("processor_recoveries_total"))}, ${count(value("processor_rebalances_total"))}`],
    ["Memory", bytes(value("processor_process_resident_memory_bytes"))],
  ];
}

export function healthCard(store) {
  const root = byId("health");
  store.view(["health", "run", "connection", "metrics"], (state) => {
    if (!state.health) return redraw(root, state.connection.state, () => emptyState(state.connection.state === "lost" ? "No answer yet" : "Asking for health…"));
    const all = reasons(state);
    const said = facts(state);
    return redraw(root, [state.health.status, all, said], () => [all.length ? all.map(reasonOf) : WELL, h("dl", { class: "facts" }, said.map(fact))].flat());
  });
}
