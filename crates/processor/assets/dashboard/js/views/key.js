// One key: its statistics over its windows, those that are open first.

import { json, withQuery } from "../api.js";
import { LineChart } from "../charts/line.js";
import { byId, emptyState, h, redraw, say } from "../dom.js";
import { amount, compact, period, plural } from "../format.js";
import { chosenPipeline } from "../store.js";
import { columnsOf, familiesOf } from "./families.js";
import { valueOf } from "./keys.js";

const WINDOWS = 240;
const AGAIN_MS = 5_000;

/** Results by window, of each the newest revision, in the order of their ends. */
function byWindow(results) {
  const windows = new Map();
  for (const result of results) {
    const before = windows.get(result.window_id);
    if (!before || before.pane.revision < result.pane.revision) windows.set(result.window_id, result);
  }
  return [...windows.values()].sort((a, b) => Date.parse(a.window.end) - Date.parse(b.window.end)).slice(-WINDOWS);
}

/** Asks for the windows of the key that is looked at, and listens to what comes. */
class Follower {
  #store;
  #stream = null;
  #wanted = null;
  #timer = 0;

  constructor(store) {
    this.#store = store;
    // A browser has few connections to one server: a page that nobody sees holds none of them.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#stream?.close();
      else if (this.#wanted) this.#listen();
    });
  }

  follow(pipeline, key) {
    if (this.#wanted?.pipeline === pipeline && this.#wanted.key === key) return;
    this.#wanted = { pipeline, key };
    this.#store.set({ windows: null });
    this.#listen();
    this.#load();
  }

  #listen() {
    this.#stream?.close();
    const stream = new EventSource(withQuery("api/v1/live", this.#wanted));
    this.#stream = stream;
    stream.addEventListener("result", ({ data }) => this.#heard(JSON.parse(data)));
    // It connects again by itself when the connection breaks; what came meanwhile is asked for.
    stream.addEventListener("open", () => this.#load());
    stream.addEventListener("error", () => {
      // Refused: all seats are taken. Until there is one, it is asked for now and then.
      if (stream.readyState !== EventSource.CLOSED) return;
      setTimeout(() => stream === this.#stream && this.#listen(), AGAIN_MS);
      this.#load();
    });
  }

  #heard(result) {
    const windows = this.#store.get("windows");
    if (!windows) return;
    this.#store.set({ windows: { ...windows, fired: byWindow([...windows.fired, result]) } });
    // Which windows are open has changed; however many results come, that is asked once a second.
    this.#timer ||= setTimeout(() => this.#load(), 1_000);
  }

  async #load() {
    this.#timer = 0;
    const wanted = this.#wanted;
    const found = await json(withQuery("api/v1/windows", { ...wanted, limit: WINDOWS })).catch(() => null);
    if (found && wanted === this.#wanted) this.#store.set({ windows: { open: found.open, fired: byWindow(found.fired) } });
  }
}

function badges({ pane: { revision, timing } }, isOpen) {
  const word = timing.replace("_", " ");
  const fired = h("span", { class: `badge ${timing === "late" ? "warn" : ""}` }, revision ? `${word}, revision ${revision}` : word);
  return isOpen ? [fired, h("span", { class: "badge accent", title: "late events may still change it" }, "open")] : [fired];
}

const spanOf = ({ start, end }) => `${Date.parse(start)} ${Date.parse(end)}`;

function row(columns, { start, end, results, state }) {
  return h("tr", null, h("td", { class: "time" }, period(Date.parse(start), Date.parse(end))), h("td", { class: "number" }, compact(results.count)),
    columns.map(({ statistic }) => h("td", { class: "number" }, amount(results[statistic]))), h("td", null, state));
}

function table(columns, { open, fired }) {
  const head = [h("th", { scope: "col" }, "Window"), ...["count", ...columns.map(({ short }) => short)].map((name) => h("th", { scope: "col", class: "number" }, name)), h("th", { scope: "col" }, "State")];
  const hasFired = new Set(fired.map(({ window }) => spanOf(window)));
  const isOpen = new Set(open.map(spanOf));
  const opened = open.filter((one) => !hasFired.has(spanOf(one))).reverse()
    .map((one) => row(columns, { ...one, state: h("span", { class: "badge accent" }, "open") }));
  const closed = [...fired].reverse().map((one) => row(columns, { ...one.window, results: one.results, state: badges(one, isOpen.has(spanOf(one.window))) }));
  return h("table", null, h("caption", { class: "quiet" }, "Windows of the key, the newest first"), h("thead", null, h("tr", null, head)), h("tbody", null, opened, closed));
}

export function keyDetail(store) {
  const [title, note, root] = ["key-title", "key-note", "key"].map(byId);
  const [plot, list] = [h("div"), h("div", { class: "key-windows", tabindex: "0", role: "region", "aria-label": "Windows of the key" })];
  root.replaceChildren(plot, list);
  const chart = new LineChart(plot, { name: "statistics per window", format: amount, store, high: true, series: [1, 2, 3].map(() => ({ label: "–", points: true })) });
  const follower = new Follower(store);

  store.view(["keys", "key", "pipeline", "run"], (state) => {
    const name = chosenPipeline(state)?.name;
    const first = state.keys?.found?.keys[0]?.key;
    // Without a choice, the first of the list.
    if (name && state.key === null && first !== undefined && state.keys.found.pipeline === name) store.set({ key: first });
    else if (name && state.key !== null) follower.follow(name, state.key);
  });

  store.view(["windows", "key", "keys"], ({ windows, key, keys }) => {
    say(title, key === null ? "No key chosen" : key || "all events");
    title.title = key ?? "";
    if (!windows) {
      say(note, "");
      return redraw(list, ["none", key], () => emptyState(key === null ? "Choose a key from the list" : "Loading…"));
    }
    const columns = columnsOf(familiesOf(keys?.found?.statistics ?? []).get(valueOf(keys?.found?.statistic)));
    say(note, `${plural(windows.fired.length, "window")} fired, ${windows.open.length} open`);
    chart.name(columns.map(({ short }) => short));
    const ends = windows.fired.map(({ window }) => Date.parse(window.end) / 1_000);
    const values = columns.map(({ statistic }) => windows.fired.map(({ results }) => results[statistic] ?? null));
    while (values.length < 3) values.push(ends.map(() => null));
    chart.empty(windows.fired.length ? "" : "No window of this key has fired yet");
    chart.show([ends, ...values]);
    return redraw(list, [columns, windows], () => (windows.fired.length + windows.open.length ? table(columns, windows) : emptyState("No window", "Its windows were purged and have left memory.")));
  });
}
