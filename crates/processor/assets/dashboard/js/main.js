// The page: what it knows at the beginning, its views, its sources. What is chosen is in the address, so that it can be sent to others.

import { byId } from "./dom.js";
import { zone } from "./format.js";
import { startSources } from "./sources.js";
import { Store } from "./store.js";
import { themeButton } from "./theme.js";
import { delivery } from "./views/delivery.js";
import { graph } from "./views/graph.js";
import { header } from "./views/header.js";
import { healthCard } from "./views/health.js";
import { keyDetail } from "./views/key.js";
import { keyList } from "./views/keys.js";
import { ledgers } from "./views/ledgers.js";
import { partitions } from "./views/partitions.js";
import { charts } from "./views/charts.js";
import { tiles } from "./views/tiles.js";

const asked = new URLSearchParams(location.search);

const store = new Store({
  connection: { state: "loading" },
  run: null, health: null, history: null, topology: null, metrics: null, keys: null, late: null, dead: null, checkpoints: null,
  windows: null, pictureAt: null, graphSize: null, theme: "light", rangeSecs: 300, stage: "event_to_result",
  pipeline: asked.get("pipeline"), key: asked.get("key"), list: { search: "", sort: "key", value: undefined, offset: 0 },
});

function remember(name, value) {
  const address = new URL(location);
  if (value === null) address.searchParams.delete(name);
  else address.searchParams.set(name, value);
  history.replaceState(null, "", address);
}

let polls = null;

/** Looks at another pipeline: its keys from the first page. */
function choose(pipeline) {
  remember("pipeline", pipeline);
  remember("key", null);
  store.set({ pipeline, key: null, keys: null, windows: null, list: { ...store.get("list"), value: undefined, offset: 0 } });
  polls.keys.now();
}

function open(key) {
  remember("key", key);
  store.set({ key });
}

function ask(list) {
  store.set({ list });
  polls.keys.now();
}

themeButton(byId("theme"), store);
header(store, { choose });
tiles(store);
healthCard(store);
graph(store);
charts(store);
keyList(store, { open, ask });
keyDetail(store);
partitions(store);
ledgers(store);
delivery(store);
byId("zone").textContent = zone();
polls = startSources(store);
