// Whether the run is well, and every reason why not.

import { byId, emptyState, h, redraw } from "../dom.js";
import { span } from "../format.js";

const STALE_MS = 4_000;

function reasons({ health, run, pictureAt }) {
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

export function healthCard(store) {
  const root = byId("health");
  store.view(["health", "run", "connection"], (state) => {
    if (!state.health) return redraw(root, "loading", () => emptyState("Asking for health…"));
    const all = reasons(state);
    return redraw(root, [state.health.status, all], () => {
      if (all.length === 0) return emptyState("All parts are well", "source, commits, sinks, state");
      return all.map(({ part, reason, tone, said, since }) =>
        h("div", { class: "reason" }, h("span", { class: `badge ${tone}` }, `${part}: ${said}`), h("span", { class: "badge" }, since), h("p", null, reason)));
    });
  });
}
