// Where numbers come from: each part of the page asks at its own pace.

import { json, Refused, text, withQuery } from "./api.js";
import { extended, newest } from "./history.js";
import { Poll } from "./poll.js";
import { Metrics } from "./prometheus.js";
import { chosenPipeline } from "./store.js";

/** Keys of one page of the list. */
export const PAGE = 12;

/** The run, its health and its history, once a second: by this the page knows whether it is connected. */
function watchRun(store) {
  return new Poll(1_000, async () => {
    try {
      if (!store.get("topology")) store.set({ topology: await json("api/v1/topology") });
      const [run, health, more] = await Promise.all([
        json("api/v1/pipelines"),
        json("health", [503]),
        json(withQuery("api/v1/history", { since_ms: newest(store.get("history")) })),
      ]);
      const moved = run.at_ms !== store.get("run")?.at_ms;
      store.set({
        run, health,
        history: extended(store.get("history"), more),
        connection: { state: "connected" },
        pictureAt: moved ? performance.now() : store.get("pictureAt"),
      });
    } catch (error) {
      const before = store.get("connection");
      const since = before.state === "lost" ? before.since : Date.now();
      // What runs there when it is back may be another configuration.
      store.set({ topology: null, connection: { state: "lost", since, why: error.message } });
      throw error;
    }
  });
}

/** Something that may be absent for a reason: `{ found }` or `{ absent }`. */
function watch(store, name, everyMs, ask) {
  return new Poll(everyMs, async () => {
    try {
      store.set({ [name]: { found: await ask() } });
    } catch (error) {
      if (error instanceof Refused) store.set({ [name]: { absent: error.message } });
      throw error;
    }
  });
}

function keysPath(store) {
  const { search, sort, value, offset } = store.get("list");
  const pipeline = chosenPipeline({ run: store.get("run"), pipeline: store.get("pipeline") })?.name;
  return withQuery("api/v1/keys", {
    pipeline, search, sort, statistic: value, offset, limit: PAGE, points: 40,
  });
}

export function startSources(store) {
  const polls = {
    run: watchRun(store),
    keys: watch(store, "keys", 2_000, async () => {
      const path = keysPath(store);
      const found = await json(path);
      // The question may have changed meanwhile; then the next answer counts.
      return path === keysPath(store) ? found : store.get("keys")?.found;
    }),
    metrics: watch(store, "metrics", 2_000, async () => new Metrics(await text("metrics"))),
    late: watch(store, "late", 3_000, () => json("api/v1/late")),
    dead: watch(store, "dead", 3_000, () => json("api/v1/dead-letters")),
    checkpoints: watch(store, "checkpoints", 5_000, () => json("api/v1/checkpoints")),
  };
  for (const poll of Object.values(polls)) poll.now();
  return polls;
}
