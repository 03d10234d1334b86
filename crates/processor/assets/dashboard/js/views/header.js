// The bar: status, pipelines, the span of the charts; and what is said when the connection is lost.

import { byId, h, mark, redraw, say } from "../dom.js";
import { span, time, utc } from "../format.js";

const STATUS = {
  loading: "Connecting", ready: "Ready", starting: "Starting", not_ready: "Not ready", stopping: "Stopping", lost: "Disconnected",
};

export function header(store, { choose }) {
  const [status, lost, select, version] = ["status", "lost", "pipeline", "version"].map(byId);

  store.view(["health", "connection"], ({ health, connection }) => {
    const state = connection.state === "connected" ? health?.status ?? "loading" : connection.state;
    mark(status, "data-state", state);
    mark(document.documentElement, "data-connection", connection.state);
    say(status.lastElementChild, STATUS[state] ?? state);
    const title = `${STATUS[state] ?? state} · Stream processor`;
    if (document.title !== title) document.title = title;
    say(version, health ? `v${health.version}` : "");
  });

  // A live region: said once when it happens, so the text does not change while it lasts.
  store.view(["connection"], ({ connection, run }) => {
    redraw(lost, [connection.state, connection.since], () => {
      if (connection.state !== "lost") return [];
      const from = run ? ["The numbers are those of ", time(run.at_ms), ". "] : ["No numbers have come yet. "];
      return ["No answer from the processor since ", time(connection.since), ". ", ...from, "Trying again."];
    });
    lost.title = connection.state === "lost" ? `${connection.why} (${utc(connection.since)})` : "";
  });

  store.view(["run", "pipeline"], ({ run, pipeline }) => {
    const names = run?.pipelines.map(({ name }) => name) ?? [];
    if (names.length === 0) return;
    redraw(select, names, () => names.map((name) => h("option", { value: name }, name)));
    select.disabled = names.length < 2;
    select.value = names.includes(pipeline) ? pipeline : names[0];
  });
  select.addEventListener("change", () => choose(select.value));

  byId("range").addEventListener("change", ({ target }) => store.set({ rangeSecs: Number(target.value) }));
  store.view(["health"], ({ health }) => say(byId("uptime"), health ? `up ${span(health.uptime_secs * 1_000)}` : ""));
}
